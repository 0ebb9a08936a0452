// The audit log: who changed what.
#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "app/key_view.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;

Result<Object> list(AdminDesk& desk, const AdminCall& call) {
  std::int64_t limit = call.integer("limit", 100);
  auto entries = call.query.contains("since") ? desk.state->audit(call.integer("since", 0), limit)
                                              : desk.state->audit_newest(limit);
  if (!entries) return std::unexpected(entries.error());
  Array lines;
  for (const store::AuditEntry& entry : *entries) lines.push_back(describe(entry));
  return Object{{"audit", std::move(lines)}};
}

// Reads all of it: not on the admin thread.
Result<AdminReport> verify(const AdminDesk& desk) {
  AdminReport report;
  report.write = [dir = desk.data_dir](const AdminReport::Sink& sink) -> Result<void> {
    auto state = store::State::open(dir);
    if (!state) return std::unexpected(state.error());
    auto lines = state->verify_audit();
    if (!lines && lines.error().code != Errc::data_loss) return std::unexpected(lines.error());
    Object verdict{{"intact", lines.has_value()}, {"lines", lines.value_or(0)}, {"detail", nullptr}};
    if (!lines) verdict["detail"] = text(lines.error().detail);
    sink(json::dump(verdict));
    return {};
  };
  return report;
}

}  // namespace

std::vector<AdminRoute> audit_routes(AdminDesk& desk) {
  return {{.method = "GET",
           .path = "/admin/v1/audit",
           .name = "listAudit",
           .about = "Who changed what: the newest first, or with `since` the following in their order.",
           .query = {{"since", Kind::integer, "A sequence number: those after it, oldest first."},
                     {"limit", Kind::integer, "How many, 100 unless told.", {}, false, false, 1, 1000}},
           .gives = "Audit",
           .answer = [&desk](const AdminCall& call) { return list(desk, call); }},
          {.method = "GET",
           .path = "/admin/v1/audit/verify",
           .name = "verifyAudit",
           .about = "Whether a line of the audit log was changed, left out or put in between.",
           .gives = "AuditVerdict",
           .report = [&desk](const AdminCall&) { return verify(desk); }}};
}

}  // namespace penstock::app
