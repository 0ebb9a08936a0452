// Alarms and actions: what stands and happened, and what people do about it. What people do goes through the audit log.
#include "app/admin_desk.h"
#include "app/admin_text.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

// For the history; more is no reason.
constexpr std::size_t kWhyBytesMax = 1000;
constexpr base::WallMicros kShelvedMost = 366LL * 24 * 3600 * 1'000'000;

Object describe(const ingest::AlarmChange& change) {
  return {{"pipeline", text(change.pipeline)}, {"name", text(change.name)},     {"device", text(change.device)},
          {"raised", change.raised},           {"at", time_or_null(change.at)}, {"why", text(change.why)},
          {"severity", text(change.severity)}};
}

Object describe(const ingest::AlarmRecord& record, bool shelved) {
  Object o = describe(record.change);
  o["raised"] = record.raised();
  o["state"] = text(to_string(record.state));
  o["cleared"] = time_or_null(record.cleared);
  o["acknowledged_by"] = record.acknowledged_by.empty() ? Value(nullptr) : text(record.acknowledged_by);
  o["note"] = text(record.note);
  o["escalated"] = record.escalated;
  o["suppressed"] = record.suppressed;
  o["shelved"] = shelved;
  return o;
}

Object describe(const ingest::AlarmShelf& shelf) {
  return {{"pipeline", text(shelf.pipeline)},   {"name", text(shelf.name)}, {"device", text(shelf.device)},
          {"until", time_or_null(shelf.until)}, {"by", text(shelf.by)},     {"why", text(shelf.why)}};
}

Object describe(const ingest::NotifyStatus& target) {
  return {{"name", text(target.name)}, {"waiting", target.waiting}, {"delivered", target.delivered},
          {"failed", target.failed},   {"dropped", target.dropped}, {"trouble", text(target.trouble)}};
}

Object describe(const store::LaneEvent& event) {
  return {{"at", time_or_null(event.at)}, {"pipeline", text(event.pipeline)},
          {"name", text(event.name)},     {"device", text(event.device)},
          {"what", text(event.what)},     {"severity", text(event.severity)},
          {"actor", text(event.actor)},   {"why", text(event.why)}};
}

Object describe(const ingest::ActionStatus& action) {
  Object o{{"pipeline", text(action.pipeline)},
           {"name", text(action.name)},
           {"on", text(action.on)},
           {"does", text(action.action)},
           {"dry_run", action.dry_run}};
  o["hold"] = nullptr;
  if (action.hold)
    o["hold"] =
        Object{{"by", text(action.hold->by)}, {"why", text(action.hold->why)}, {"at", time_or_null(action.hold->at)}};
  Object counts;
  for (const auto& [what, count] : action.counts) counts[what] = count;
  o["counts"] = std::move(counts);
  o["last"] = nullptr;
  if (action.last) {
    const ingest::ActionEvent& last = *action.last;
    o["last"] = Object{{"at", time_or_null(last.at)}, {"pipeline", text(last.pipeline)},
                       {"name", text(last.name)},     {"device", text(last.device)},
                       {"what", text(last.what)},     {"severity", text("")},
                       {"actor", text(last.actor)},   {"why", text(last.why)}};
  }
  return o;
}

Result<Object> list_alarms(AdminDesk& desk, const AdminCall&) {
  const ingest::AlarmBoard& board = desk.ingest->alarms();
  Array active, returned, shelves, targets, history;
  for (const ingest::AlarmRecord& record : board.records())
    (record.raised() ? active : returned).push_back(describe(record, board.shelved(record.change)));
  for (const ingest::AlarmShelf& shelf : board.shelves()) shelves.push_back(describe(shelf));
  for (const ingest::NotifyStatus& target : desk.alarms->notifier().status()) targets.push_back(describe(target));
  for (const ingest::AlarmChange& change : board.history()) history.push_back(describe(change));
  return Object{{"active", std::move(active)},
                {"returned", std::move(returned)},
                {"shelves", std::move(shelves)},
                {"targets", std::move(targets)},
                {"history", std::move(history)}};
}

Result<Object> list_actions(AdminDesk& desk, const AdminCall&) {
  Array actions;
  for (const ingest::ActionStatus& action : desk.alarms->actions().list()) actions.push_back(describe(action));
  return Object{{"actions", std::move(actions)}};
}

Result<AdminReport> history(AdminDesk& desk, const AdminCall& call, std::string_view kind) {
  store::LaneEventFilter filter{.kind = std::string(kind),
                                .pipeline = call.text("pipeline"),
                                .name = call.text("name"),
                                .device = call.text("device"),
                                .what = call.text("what"),
                                .limit = call.integer("limit", 100)};
  if (std::string since = call.text("since"); !since.empty()) {
    auto time = read_time(since, call.now);
    if (!time) return fail(Errc::invalid_argument, "'since' " + time.error().detail);
    filter.since = *time;
  }
  AdminReport report;
  report.write = [keeper = desk.alarms, filter](const AdminReport::Sink& sink) -> Result<void> {
    auto events = keeper->history(filter);
    if (!events) return std::unexpected(events.error());
    Array found;
    for (const store::LaneEvent& event : *events) found.push_back(describe(event));
    sink(json::dump(Object{{"events", std::move(found)}}));
    return {};
  };
  return report;
}

std::string word(const AdminCall& call, std::string_view name) {
  const Value* found = call.body.if_contains(name);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

Result<std::string> why_of(const AdminCall& call) {
  std::string why = word(call, "why");
  if (why.size() > kWhyBytesMax)
    return fail(Errc::invalid_argument, fmt::format("'why' is longer than {} bytes", kWhyBytesMax));
  return why;
}

std::string actor_of(const AdminCall& call) { return "operator " + call.actor; }

Result<void> audit(AdminDesk& desk, const AdminCall& call, std::string_view action, std::string_view what) {
  return desk.state->add_audit({call.actor, call.now}, action,
                               fmt::format("{}:{}/{}", what, word(call, "pipeline"), word(call, "name")), "",
                               json::dump(call.body));
}

// What somebody did is answered for once it is on disk.
template <class T>
Result<T> settled(AdminDesk& desk, T answer) {
  if (auto kept = desk.alarms->settle(); !kept) return std::unexpected(kept.error());
  return answer;
}

ingest::AlarmMatch match_of(const AdminCall& call) {
  return {.pipeline = word(call, "pipeline"), .name = word(call, "name"), .device = word(call, "device")};
}

Result<Object> counted(AdminDesk& desk, std::size_t count, const AdminCall& call, std::string_view state) {
  if (count > 0) return settled(desk, Object{{"count", count}});
  return fail(Errc::not_found,
              fmt::format("no alarm '{}' that is meant is {}; GET /admin/v1/alarms shows what there is",
                          word(call, "name"), state));
}

Result<Object> acknowledge(AdminDesk& desk, const AdminCall& call) {
  auto why = why_of(call);
  if (!why) return std::unexpected(why.error());
  if (auto noted = audit(desk, call, "alarm.acknowledge", "alarm"); !noted) return std::unexpected(noted.error());
  return counted(desk, desk.ingest->alarms().acknowledge(match_of(call), actor_of(call), *why), call, "unacknowledged");
}

Result<Object> shelve(AdminDesk& desk, const AdminCall& call) {
  auto why = why_of(call);
  if (!why) return std::unexpected(why.error());
  auto until = read_time(word(call, "until"), call.now, true);
  if (!until) return fail(Errc::invalid_argument, "'until' " + until.error().detail);
  if (*until <= call.now || *until > call.now + kShelvedMost)
    return fail(Errc::invalid_argument, "'until' lies in the coming year, such as 8h or a date");
  if (auto noted = audit(desk, call, "alarm.shelve", "alarm"); !noted) return std::unexpected(noted.error());
  ingest::AlarmMatch match = match_of(call);
  auto done = desk.ingest->alarms().shelve({.pipeline = match.pipeline,
                                            .name = match.name,
                                            .device = match.device,
                                            .until = *until,
                                            .by = actor_of(call),
                                            .why = *why});
  if (!done) return std::unexpected(done.error());
  return settled(desk, Object{{"count", 1}});
}

Result<Object> unshelve(AdminDesk& desk, const AdminCall& call) {
  if (auto noted = audit(desk, call, "alarm.unshelve", "alarm"); !noted) return std::unexpected(noted.error());
  return counted(desk, desk.ingest->alarms().unshelve(match_of(call), actor_of(call)), call, "shelved");
}

// What was wanted is in the audit log, whatever becomes of it.
Result<Object> steer(AdminDesk& desk, const AdminCall& call, std::string_view verb) {
  auto why = why_of(call);
  if (!why) return std::unexpected(why.error());
  if (auto noted = audit(desk, call, fmt::format("action.{}", verb), "action"); !noted)
    return std::unexpected(noted.error());
  ingest::ActionBoard& actions = desk.alarms->actions();
  std::string pipeline = word(call, "pipeline");
  std::string name = word(call, "name");
  Result<void> done;
  if (verb == "hold") done = actions.hold(pipeline, name, {.by = actor_of(call), .why = *why, .at = call.now});
  if (verb == "release") done = actions.release(pipeline, name, actor_of(call));
  if (verb == "force") done = actions.force(pipeline, name, word(call, "device"), actor_of(call), *why);
  if (done) done = desk.alarms->settle();
  if (!done) return std::unexpected(done.error());
  return list_actions(desk, call);
}

std::vector<Field> history_fields() {
  return {{"pipeline", Kind::text, "Only of this one."},
          {"name", Kind::text, "Only of this one."},
          {"device", Kind::text, "Only of this one."},
          {"what", Kind::text, "Only this, such as raised or confirmed."},
          {"since", Kind::time, "Or a duration before now."},
          {"limit", Kind::integer, "How many, 100 unless told.", {}, false, false, 1, 10'000}};
}

AdminRoute change_route(std::string_view path, std::string_view name, std::string_view about, std::string_view takes,
                        std::string_view gives, std::vector<int> refusals,
                        std::function<Result<Object>(const AdminCall&)> answer) {
  return {.method = "POST",
          .path = path,
          .name = name,
          .about = about,
          .takes = takes,
          .gives = gives,
          .refusals = std::move(refusals),
          .answer = std::move(answer)};
}

}  // namespace

std::vector<AdminRoute> alarm_routes(AdminDesk& desk) {
  auto with = [&desk](auto handler) { return [&desk, handler](const AdminCall& call) { return handler(desk, call); }; };
  return {{.method = "GET",
           .path = "/admin/v1/alarms",
           .name = "listAlarms",
           .about = "Alarms that stand, and those before.",
           .gives = "Alarms",
           .answer = with(list_alarms)},
          {.method = "GET",
           .path = "/admin/v1/alarm-history",
           .name = "listAlarmHistory",
           .about = "What happened to alarms, also before a restart.",
           .query = history_fields(),
           .gives = "LaneEvents",
           .report = [&desk](const AdminCall& call) { return history(desk, call, "alarm"); }},
          change_route("/admin/v1/alarms/acknowledge", "acknowledgeAlarms", "Somebody has seen these alarms.",
                       "AlarmChoice", "Count", {404, 503}, with(acknowledge)),
          change_route("/admin/v1/alarms/shelve", "shelveAlarm", "Nobody is told of an alarm for a while.", "Shelving",
                       "Count", {503}, with(shelve)),
          change_route("/admin/v1/alarms/unshelve", "unshelveAlarms", "Takes shelved alarms back.", "AlarmChoice",
                       "Count", {404, 503}, with(unshelve))};
}

std::vector<AdminRoute> action_routes(AdminDesk& desk) {
  auto with = [&desk](auto handler) { return [&desk, handler](const AdminCall& call) { return handler(desk, call); }; };
  auto steered = [&desk](std::string_view verb) {
    return [&desk, verb](const AdminCall& call) { return steer(desk, call, verb); };
  };
  return {{.method = "GET",
           .path = "/admin/v1/actions",
           .name = "listActions",
           .about = "What pipelines do by themselves, and what became of it.",
           .gives = "Actions",
           .answer = with(list_actions)},
          {.method = "GET",
           .path = "/admin/v1/action-history",
           .name = "listActionHistory",
           .about = "What became of actions, also before a restart.",
           .query = history_fields(),
           .gives = "LaneEvents",
           .report = [&desk](const AdminCall& call) { return history(desk, call, "action"); }},
          change_route("/admin/v1/actions/hold", "holdAction", "Keeps an action from being made.", "ActionChoice",
                       "Actions", {404, 503}, steered("hold")),
          change_route("/admin/v1/actions/release", "releaseAction", "Lets a held action be made again.",
                       "ActionChoice", "Actions", {404, 409, 503}, steered("release")),
          change_route("/admin/v1/actions/force", "forceAction",
                       "Makes an action now, whatever its conditions say; what became of it is in the history.",
                       "ForcedAction", "Actions", {404, 503}, steered("force"))};
}

}  // namespace penstock::app
