// Shapes of alarms and actions.
#include "app/admin_shape.h"

namespace penstock::app {
namespace {

Field words(std::string_view name, Kind kind, std::string_view about, std::string_view of = {}) {
  return {name, kind, about, of};
}

Field nullable(std::string_view name, Kind kind, std::string_view about) {
  return {name, kind, about, {}, false, true};
}

Field must(std::string_view name, std::string_view about) { return {name, Kind::text, about, {}, true}; }

Field why() { return {"why", Kind::text, "For the history."}; }

std::vector<Shape> shapes_of_alarm_views() {
  return {
      {"Alarm",
       "An alarm that stands, or that cleared and nobody acknowledged.",
       {words("pipeline", Kind::text, ""), words("name", Kind::text, ""), words("device", Kind::text, ""),
        words("raised", Kind::boolean, "False: it cleared."), words("at", Kind::time, "When it was raised."),
        words("why", Kind::text, "The condition, and the values that met it."),
        words("severity", Kind::text, "", "info warning critical"),
        words("state", Kind::text, "", "unacknowledged acknowledged returned"),
        nullable("cleared", Kind::time, "Null: it stands."),
        nullable("acknowledged_by", Kind::text, "Null: nobody yet."),
        words("note", Kind::text, "What that person wrote."),
        words("escalated", Kind::boolean, "Nobody acknowledged it in time."),
        words("suppressed", Kind::boolean, "Came in a flood: nobody was told."),
        words("shelved", Kind::boolean, "Nobody is told of it for now.")}},
      {"AlarmChange",
       "Something that was raised or cleared.",
       {words("pipeline", Kind::text, ""), words("name", Kind::text, ""), words("device", Kind::text, ""),
        words("raised", Kind::boolean, "False: cleared."), words("at", Kind::time, ""), words("why", Kind::text, ""),
        words("severity", Kind::text, "", "info warning critical")}},
      {"AlarmShelf",
       "Nobody is told of this alarm until then.",
       {words("pipeline", Kind::text, ""), words("name", Kind::text, ""), words("device", Kind::text, "Empty: all."),
        words("until", Kind::time, ""), words("by", Kind::text, ""), words("why", Kind::text, "")}},
      {"NotifyTarget",
       "Somebody who is told of alarms.",
       {words("name", Kind::text, ""), words("waiting", Kind::integer, "Notices not taken yet."),
        words("delivered", Kind::integer, ""), words("failed", Kind::integer, "Attempts."),
        words("dropped", Kind::integer, "Given up."), words("trouble", Kind::text, "Why the last attempt failed.")}},
      {"Alarms",
       "Alarms.",
       {words("active", Kind::list, "Those that stand.", "Alarm"),
        words("returned", Kind::list, "Cleared, and nobody acknowledged them.", "Alarm"),
        words("shelves", Kind::list, "Who is not told of what.", "AlarmShelf"),
        words("targets", Kind::list, "Who is told.", "NotifyTarget"),
        words("history", Kind::list, "Raised and cleared since the start, newest first.", "AlarmChange")}},
      {"LaneEvent",
       "What happened to an alarm or an action.",
       {words("at", Kind::time, ""), words("pipeline", Kind::text, ""), words("name", Kind::text, ""),
        words("device", Kind::text, ""), words("what", Kind::text, "raised, acknowledged, told, confirmed, ..."),
        words("severity", Kind::text, "Of alarms."), words("actor", Kind::text, "Who wanted it; empty: the pipeline."),
        words("why", Kind::text, "")}},
      {"LaneEvents", "What happened, newest first.", {words("events", Kind::list, "", "LaneEvent")}},
      {"Count", "How many it was about.", {words("count", Kind::integer, "")}},
  };
}

std::vector<Shape> shapes_of_action_views() {
  return {
      {"ActionHold",
       "Somebody keeps an action from being made.",
       {words("by", Kind::text, ""), words("why", Kind::text, ""), nullable("at", Kind::time, "")}},
      {"Action",
       "What a pipeline does by itself.",
       {words("pipeline", Kind::text, ""),
        words("name", Kind::text, ""),
        words("on", Kind::text, "What it follows."),
        words("does", Kind::text, "In words."),
        words("dry_run", Kind::boolean, "It says what it would do."),
        {"hold", Kind::object, "Null: nobody holds it.", "ActionHold", false, true},
        words("counts", Kind::any, "What became of it since the start."),
        {"last", Kind::object, "Null: nothing yet.", "LaneEvent", false, true}}},
      {"Actions", "Actions.", {words("actions", Kind::list, "", "Action")}},
  };
}

std::vector<Shape> shapes_of_alarm_changes() {
  return {
      {"AlarmChoice",
       "Alarms of that name; more words, fewer of them.",
       {words("pipeline", Kind::text, ""), must("name", ""), words("device", Kind::text, ""), why()}},
      {"Shelving",
       "Nobody is told of this alarm for a while.",
       {must("pipeline", ""),
        must("name", ""),
        words("device", Kind::text, "Left out: all of them."),
        {"until", Kind::time, "Or a duration from now.", {}, true},
        why()}},
      {"ActionChoice", "An action.", {must("pipeline", ""), must("name", ""), why()}},
      {"ForcedAction",
       "An action that is to be made now.",
       {must("pipeline", ""), must("name", ""), must("device", "For which; `{device}` in topics and bodies."), why()}},
  };
}

}  // namespace

std::vector<Shape> shapes_of_alarms() {
  std::vector<Shape> all = shapes_of_alarm_changes();
  for (auto part : {shapes_of_alarm_views, shapes_of_action_views}) {
    for (Shape& shape : part()) all.push_back(std::move(shape));
  }
  return all;
}

}  // namespace penstock::app
