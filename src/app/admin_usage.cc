// What was used, out of the ledger.
#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "store/usage_export.h"

namespace penstock::app {
namespace {

Result<store::UsageQuery> read_usage_query(const AdminCall& call) {
  store::UsageQuery query;
  auto read = [&](std::string_view name, base::WallMicros& at) -> Result<void> {
    if (call.text(name).empty()) return {};
    auto time = read_time(call.text(name), call.now);
    if (!time) return fail(Errc::invalid_argument, fmt::format("{}: {}", name, time.error().detail));
    at = *time;
    return {};
  };
  query.since = call.now - std::chrono::microseconds(std::chrono::hours(24)).count();
  if (auto since = read("since", query.since); !since) return std::unexpected(since.error());
  if (auto until = read("until", query.until); !until) return std::unexpected(until.error());
  std::string by = call.text("group_by");
  if (auto known = store::parse_group_by(by.empty() ? "key,model" : by, query); !known)
    return std::unexpected(known.error());
  std::string order = call.text("order");
  auto known = store::parse_order(order.empty() ? "requests" : order);
  if (!known) return std::unexpected(known.error());
  query.order = *known;
  for (std::size_t i = 0; i < store::kUsageDimensions.size(); ++i) {
    auto only = call.query.find(store::kUsageDimensions[i].name);
    if (only != call.query.end()) query.only[i] = only->second;
  }
  query.limit = call.integer("limit", 0);
  return query;
}

// A connection of its own: it is read on another thread.
Result<AdminReport> report_usage(const AdminDesk& desk, const AdminCall& call) {
  auto query = read_usage_query(call);
  if (!query) return std::unexpected(query.error());
  auto format = store::parse_format(call.query.contains("format") ? call.text("format") : "json");
  if (!format) return std::unexpected(format.error());
  AdminReport report;
  report.type = store::content_type(*format);
  if (*format == store::UsageFormat::csv) report.file = "usage.csv";
  report.write = [dir = desk.data_dir, query = *query,
                  format = *format](const AdminReport::Sink& sink) -> Result<void> {
    auto ledger = store::Ledger::open(dir);
    if (!ledger) return std::unexpected(ledger.error());
    return store::export_usage(*ledger, query, format, sink);
  };
  return report;
}

}  // namespace

std::vector<AdminRoute> usage_routes(AdminDesk& desk) {
  std::vector<Field> fields{{"since", Kind::text, "A time, or how long ago: 24h (as long as nothing is said), 7d."},
                            {"until", Kind::text, "A time, or how long ago; up to now unless told."},
                            {"group_by", Kind::text,
                             "What rows are apart by, separated by commas: key, team, model, target, api, and one of "
                             "minute, hour, day. key,model unless told."},
                            {"order", Kind::text, "Within the same time: names by the alphabet, figures largest first.",
                             "name requests tokens cost"},
                            {"limit", Kind::integer, "How many rows; all unless told.", {}, false, false, 1, 1'000'000},
                            {"format", Kind::text, "json unless told.", "json ndjson csv"}};
  for (const store::UsageDimension& dimension : store::kUsageDimensions)
    fields.push_back({dimension.name, Kind::text, "Only what is of this; an empty one is of none."});
  return {{.method = "GET",
           .path = "/admin/v1/usage",
           .name = "getUsage",
           .about = "Requests, tokens and cost.",
           .query = std::move(fields),
           .gives = "Usage",
           .refusals = {422},
           .report = [&desk](const AdminCall& call) { return report_usage(desk, call); }}};
}

}  // namespace penstock::app
