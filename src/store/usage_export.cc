#include "store/usage_export.h"

#include "json/writer.h"

namespace penstock::store {
namespace {

constexpr std::size_t kPieceBytes = 32 * 1024;
constexpr std::array<std::pair<std::string_view, UsageFormat>, 3> kFormats{
    {{"csv", UsageFormat::csv}, {"json", UsageFormat::json}, {"ndjson", UsageFormat::ndjson}}};

// Millionths as a decimal number, exactly.
std::string decimal(std::int64_t millionths) {
  std::int64_t whole = millionths / 1'000'000;
  return fmt::format("{}{}.{:06}", millionths < 0 && whole == 0 ? "-" : "", whole, std::abs(millionths % 1'000'000));
}

// What people read instead of a sum: its name, and that it is shown as a decimal number.
std::string_view shown_name(const UsageColumn& column, bool& millionths) {
  millionths = column.member == &UsageSums::cost_micros || column.member == &UsageSums::waited_micros;
  if (column.member == &UsageSums::cost_micros) return "cost_usd";
  if (column.member == &UsageSums::waited_micros) return "waited_seconds";
  return column.name;
}

std::string cell(std::string_view text) {
  std::string guarded;
  if (!text.empty() && std::string_view("=+-@\t\r").contains(text.front())) guarded = "'";
  guarded += text;
  if (guarded.find_first_of(",\"\r\n") == std::string::npos) return guarded;
  std::string quoted = "\"";
  for (char c : guarded) (quoted += c) += c == '"' ? "\"" : "";
  return quoted + "\"";
}

// Calls take(name, text, is_number) for each column of a row.
void each_column(const UsageQuery& query, const UsageRow& row, auto take) {
  if (query.per != UsageGrain::whole) take("time", base::to_rfc3339(row.at), false);
  for (std::size_t i = 0; i < kUsageDimensions.size(); ++i)
    if (query.by[i]) take(kUsageDimensions[i].name, row.*kUsageDimensions[i].member, false);
  for (const UsageColumn& column : kUsageColumns) {
    bool millionths = false;
    std::string_view name = shown_name(column, millionths);
    std::int64_t value = row.used.*column.member;
    take(name, millionths ? decimal(value) : fmt::format("{}", value), true);
  }
}

void append_csv(std::string& out, const UsageQuery& query, const UsageRow& row, bool names) {
  bool first = true;
  each_column(query, row, [&](std::string_view name, const std::string& text, bool) {
    if (!first) out += ',';
    first = false;
    out += names ? std::string(name) : cell(text);
  });
  out += "\r\n";
}

void append_json(std::string& out, const UsageQuery& query, const UsageRow& row) {
  json::Writer object(out);
  object.open_object();
  each_column(query, row, [&](std::string_view name, const std::string& text, bool number) {
    object.key(name);
    number ? object.raw(text) : object.string(text);
  });
  object.close_object();
}

}  // namespace

Result<UsageFormat> parse_format(std::string_view text) {
  for (const auto& [name, format] : kFormats)
    if (name == text) return format;
  return fail(Errc::invalid_argument, fmt::format("usage cannot be written as '{}': write csv, json or ndjson", text));
}

std::string_view content_type(UsageFormat format) {
  switch (format) {
    case UsageFormat::csv: return "text/csv; charset=utf-8; header=present";
    case UsageFormat::json: return "application/json";
    case UsageFormat::ndjson: return "application/x-ndjson";
  }
  return "";
}

Result<void> export_usage(Ledger& ledger, const UsageQuery& query, UsageFormat format, const UsageSink& sink) {
  std::string out;
  if (format == UsageFormat::csv) append_csv(out, query, {}, true);
  if (format == UsageFormat::json) out = R"({"usage":[)";
  bool first = true;
  bool open = true;
  auto range = ledger.query(query, [&](const UsageRow& row) {
    if (format == UsageFormat::csv) {
      append_csv(out, query, row, false);
    } else {
      if (format == UsageFormat::json) out += first ? "\n" : ",\n";
      append_json(out, query, row);
      if (format == UsageFormat::ndjson) out += '\n';
    }
    first = false;
    if (out.size() < kPieceBytes) return true;
    open = sink(out);
    out.clear();
    return open;
  });
  if (!range) return std::unexpected(range.error());
  if (!open) return {};
  if (format == UsageFormat::json)
    out += fmt::format("\n],\"since\":\"{}\",\"until\":\"{}\"}}\n", base::to_rfc3339(range->since),
                       base::to_rfc3339(range->until));
  if (!out.empty()) (void)sink(out);
  return {};
}

}  // namespace penstock::store
