#include "ingest/csv.h"

#include <charconv>

#include "ingest/device_check.h"

namespace penstock::ingest {
namespace {

constexpr std::size_t kRowsMax = 5'000'000;

// Cuts records out of the text, quoted line breaks included.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  }

  bool done() const { return rest_.empty(); }
  std::size_t line() const { return line_; }  // of the record read last

  Result<std::vector<std::string>> record() {
    line_ = next_line_;
    std::vector<std::string> cells;
    while (true) {
      std::string& cell = cells.emplace_back();
      if (rest_.starts_with('"')) {
        if (!quoted(cell))
          return fail(Errc::invalid_argument, fmt::format("line {}: a closing quote is missing", line_));
      } else {
        std::size_t end = std::min(rest_.find_first_of(",\n"), rest_.size());
        cell = rest_.substr(0, end);
        rest_.remove_prefix(end);
      }
      if (rest_.starts_with(',')) {
        rest_.remove_prefix(1);
        continue;
      }
      if (!cell.empty() && cell.back() == '\r') cell.pop_back();
      if (rest_.starts_with('\r')) rest_.remove_prefix(1);
      if (!rest_.empty() && rest_.front() != '\n') {
        return fail(Errc::invalid_argument, fmt::format("line {}: text behind a closing quote", line_));
      }
      if (!rest_.empty()) rest_.remove_prefix(1);
      ++next_line_;
      return cells;
    }
  }

 private:
  bool quoted(std::string& cell) {
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\n') ++next_line_;
      if (c != '"') {
        cell += c;
      } else if (rest_.starts_with('"')) {
        cell += '"';
        rest_.remove_prefix(1);
      } else {
        return true;
      }
    }
    return false;
  }

  std::string_view rest_;
  std::size_t line_ = 1;
  std::size_t next_line_ = 1;
};

struct Column {
  std::string name;
  std::string unit;
};

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Column read_header(std::string_view cell) {
  cell = trim(cell);
  std::size_t open = cell.rfind('[');
  // "vib[]" is a name; "temp [degC]" a name and a unit.
  if (open == std::string_view::npos || !cell.ends_with(']') || open + 2 >= cell.size()) return {std::string(cell), {}};
  return {std::string(trim(cell.substr(0, open))), std::string(trim(cell.substr(open + 1, cell.size() - open - 2)))};
}

Value read_value(std::string_view cell) {
  if (cell == "true") return true;
  if (cell == "false") return false;
  const char* last = cell.data() + cell.size();
  std::int64_t integer = 0;
  if (auto [end, ec] = std::from_chars(cell.data(), last, integer); ec == std::errc{} && end == last) return integer;
  double number = 0;
  if (auto [end, ec] = std::from_chars(cell.data(), last, number); ec == std::errc{} && end == last) return number;
  return std::string(cell);
}

Result<void> read_cell(Sample& sample, const Column& column, std::string_view cell) {
  if (cell.empty()) return {};
  if (column.name == "time" || column.name == "timestamp") {
    auto time = parse_time(cell);
    if (!time)
      return fail(Errc::invalid_argument, fmt::format("'{}' in column {} {}", cell, column.name, time.error().detail));
    sample.event_time = *time;
  } else if (column.name == "device") {
    sample.device = cell;
    return check_device(cell);
  } else {
    sample.fields.push_back({column.name, read_value(cell), column.unit});
  }
  return {};
}

}  // namespace

Result<std::vector<Sample>> samples_from_csv(std::string_view text, const SampleDefaults& defaults) {
  Reader reader(text);
  if (reader.done()) return fail(Errc::invalid_argument, "line 1: the header line is missing: time,device,temp,...");
  auto header = reader.record();
  if (!header) return std::unexpected(header.error());
  std::vector<Column> columns;
  for (const std::string& cell : *header) columns.push_back(read_header(cell));
  if (columns.size() > kSampleFieldsMax) {
    return fail(Errc::out_of_range, fmt::format("line 1: more than {} columns", kSampleFieldsMax));
  }
  std::vector<Sample> samples;
  while (!reader.done()) {
    auto record = reader.record();
    if (!record) return std::unexpected(record.error());
    if (record->size() == 1 && trim(record->front()).empty()) continue;
    if (record->size() != columns.size()) {
      return fail(Errc::invalid_argument, fmt::format("line {}: {} cells where the header has {}", reader.line(),
                                                      record->size(), columns.size()));
    }
    if (samples.size() >= kRowsMax) return fail(Errc::out_of_range, fmt::format("more than {} rows", kRowsMax));
    Sample sample;
    sample.event_time = sample.ingest_time = defaults.now;
    sample.device = defaults.device;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      auto read = read_cell(sample, columns[i], trim((*record)[i]));
      if (!read) return fail(read.error().code, fmt::format("line {}: {}", reader.line(), read.error().detail));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace penstock::ingest
