#include "ext/steps/lookup/lookup_table.h"

#include <fstream>

#include "ingest/csv.h"

namespace penstock::ext::steps {
namespace {

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Errc::not_found, fmt::format("{}: cannot be opened", path));
  std::string text(kLookupBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return fail(Errc::data_loss, fmt::format("{}: cannot be read", path));
  if (text.size() > kLookupBytesMax) {
    return fail(Errc::out_of_range, fmt::format("{}: larger than {} MiB", path, kLookupBytesMax >> 20));
  }
  return text;
}

// Takes the key out of the row; empty when there is none.
std::string take_key(ingest::Sample& row, const std::string& key) {
  if (key == "device") return row.device;
  const ingest::Field* field = row.find(key);
  std::string value = field == nullptr ? std::string() : lookup_key(field->value);
  std::erase_if(row.fields, [&](const ingest::Field& one) { return one.name == key; });
  return value;
}

}  // namespace

std::string lookup_key(const ingest::Value& value) {
  struct Visitor {
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(const std::vector<double>&) const { return {}; }
  };
  return std::visit(Visitor{}, value);
}

Result<LookupTable> load_lookup_table(const std::string& path, const std::string& key) {
  auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  auto rows = path.ends_with(".csv") ? ingest::samples_from_csv(*text, {}) : ingest::samples_from_json(*text, {});
  if (!rows) return fail(rows.error().code, fmt::format("{}: {}", path, rows.error().detail));
  if (rows->size() > kLookupRowsMax) {
    return fail(Errc::out_of_range, fmt::format("{}: more than {} rows", path, kLookupRowsMax));
  }
  LookupTable table;
  table.reserve(rows->size());
  std::size_t number = 0;
  for (ingest::Sample& row : *rows) {
    ++number;
    std::string value = take_key(row, key);
    if (value.empty()) return fail(Errc::invalid_argument, fmt::format("{}: row {} has no '{}'", path, number, key));
    const auto [entry, is_new] = table.try_emplace(std::move(value), std::move(row.fields));
    if (!is_new) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: row {}: '{}' stands there twice", path, number, entry->first));
    }
  }
  return table;
}

}  // namespace penstock::ext::steps
