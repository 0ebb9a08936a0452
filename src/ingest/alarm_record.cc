#include "ingest/alarm_record.h"

#include <array>

#include "json/value.h"

namespace penstock::ingest {
namespace {

constexpr std::array<std::string_view, 3> kStates{"unacknowledged", "acknowledged", "returned"};

json::Value text(std::string_view value) {
  return json::Value(boost::json::string(boost::json::string_view(value.data(), value.size())));
}

Result<json::Value> object_from(std::string_view text) {
  auto value = json::parse(text);
  if (!value || !value->is_object()) return fail(Errc::data_loss, "what was remembered of an alarm cannot be read");
  return *value;
}

std::string word(const json::Value& object, std::string_view name) {
  return std::string(json::string_or(object, name, ""));
}

}  // namespace

std::string_view to_string(AlarmRecord::State state) { return kStates[static_cast<std::size_t>(state)]; }

std::string to_text(const AlarmRecord& record) {
  const AlarmChange& change = record.change;
  return json::dump(json::Object{{"pipeline", text(change.pipeline)},
                                 {"name", text(change.name)},
                                 {"device", text(change.device)},
                                 {"at", change.at},
                                 {"why", text(change.why)},
                                 {"severity", text(change.severity)},
                                 {"state", text(to_string(record.state))},
                                 {"noted", record.noted},
                                 {"cleared", record.cleared},
                                 {"acknowledged_by", text(record.acknowledged_by)},
                                 {"note", text(record.note)},
                                 {"escalated", record.escalated},
                                 {"suppressed", record.suppressed}});
}

std::string to_text(const AlarmShelf& shelf) {
  return json::dump(json::Object{{"pipeline", text(shelf.pipeline)},
                                 {"name", text(shelf.name)},
                                 {"device", text(shelf.device)},
                                 {"until", shelf.until},
                                 {"by", text(shelf.by)},
                                 {"why", text(shelf.why)}});
}

Result<AlarmRecord> alarm_record_from(std::string_view text) {
  auto object = object_from(text);
  if (!object) return std::unexpected(object.error());
  AlarmRecord record;
  record.change = {.pipeline = word(*object, "pipeline"),
                   .name = word(*object, "name"),
                   .device = word(*object, "device"),
                   .raised = true,
                   .at = json::int_or(*object, "at", 0),
                   .why = word(*object, "why"),
                   .severity = word(*object, "severity")};
  auto state = std::find(kStates.begin(), kStates.end(), word(*object, "state"));
  if (state == kStates.end() || record.change.pipeline.empty() || record.change.name.empty())
    return fail(Errc::data_loss, "what was remembered of an alarm cannot be read");
  record.state = static_cast<AlarmRecord::State>(state - kStates.begin());
  record.noted = json::int_or(*object, "noted", 0);
  record.cleared = json::int_or(*object, "cleared", 0);
  record.acknowledged_by = word(*object, "acknowledged_by");
  record.note = word(*object, "note");
  record.escalated = json::bool_or(*object, "escalated", false);
  record.suppressed = json::bool_or(*object, "suppressed", false);
  return record;
}

Result<AlarmShelf> alarm_shelf_from(std::string_view text) {
  auto object = object_from(text);
  if (!object) return std::unexpected(object.error());
  AlarmShelf shelf{.pipeline = word(*object, "pipeline"),
                   .name = word(*object, "name"),
                   .device = word(*object, "device"),
                   .until = json::int_or(*object, "until", 0),
                   .by = word(*object, "by"),
                   .why = word(*object, "why")};
  if (shelf.pipeline.empty() || shelf.name.empty())
    return fail(Errc::data_loss, "what was remembered of a shelved alarm cannot be read");
  return shelf;
}

}  // namespace penstock::ingest
