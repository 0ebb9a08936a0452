#include "ext/steps/do/run_record.h"

#include "json/value.h"

namespace penstock::ext::steps {
namespace {

void append_doubt(std::string& out, const Doubt& doubt) {
  const auto text = [&](std::string_view name, std::string_view value) {
    out += name;
    json::append_quoted(out, value);
  };
  text(",\"doubt\":{\"blind\":", doubt.blind);
  text(",\"skipped\":", doubt.skipped);
  out += ",\"points\":[";
  for (const Wanted& wanted : doubt.points) {
    text(out.ends_with('[') ? "{\"source\":" : ",{\"source\":", wanted.source);
    text(",\"point\":", wanted.point);
    text(",\"value\":", text_of(wanted.value));
    out += fmt::format(",\"within\":{}}}", wanted.within);
  }
  out += "]}";
}

double number_in(const json::Value* value) {
  if (value == nullptr) return 0;
  return value->is_double() ? value->get_double() : value->is_int64() ? static_cast<double>(value->get_int64()) : 0;
}

Doubt doubt_from(const json::Value& value) {
  Doubt doubt;
  doubt.blind = json::string_or(value, "blind", "");
  doubt.skipped = json::string_or(value, "skipped", "");
  const json::Value* points = json::find(value, "points");
  if (points == nullptr || !points->is_array()) return doubt;
  for (const json::Value& point : points->get_array()) {
    doubt.points.push_back({.source = std::string(json::string_or(point, "source", "")),
                            .point = std::string(json::string_or(point, "point", "")),
                            .value = value_of(std::string(json::string_or(point, "value", ""))),
                            .within = number_in(json::find(point, "within"))});
  }
  return doubt;
}

}  // namespace

std::string to_text(const RunRecord& record) {
  std::string out = "{\"device\":";
  json::append_quoted(out, record.device);
  out += ",\"id\":";
  json::append_quoted(out, record.id);
  out += ",\"trigger\":";
  json::append_quoted(out, record.trigger);
  out += ",\"stage\":";
  json::append_quoted(out, record.stage);
  out += fmt::format(",\"alarm_at\":{},\"newest\":{},\"passed_at\":{},\"began\":{},\"starts\":[{}]", record.alarm_at,
                     record.newest, record.passed_at, record.began, fmt::join(record.starts, ","));
  if (!record.doubt.points.empty()) append_doubt(out, record.doubt);
  return out + "}";
}

Result<RunRecord> run_record_from(std::string_view text) {
  auto value = json::parse(text);
  if (!value || !value->is_object() || json::string_or(*value, "stage", "").empty())
    return fail(Errc::data_loss, "what was remembered of an action cannot be read");
  RunRecord record;
  record.device = json::string_or(*value, "device", "");
  record.id = json::string_or(*value, "id", "");
  record.trigger = json::string_or(*value, "trigger", "");
  record.stage = json::string_or(*value, "stage", "");
  record.alarm_at = json::int_or(*value, "alarm_at", 0);
  record.newest = json::int_or(*value, "newest", record.alarm_at);
  record.passed_at = json::int_or(*value, "passed_at", 0);
  record.began = json::int_or(*value, "began", 0);
  const json::Value* starts = json::find(*value, "starts");
  if (starts != nullptr && starts->is_array()) {
    for (const json::Value& start : starts->get_array()) {
      if (start.is_int64()) record.starts.push_back(start.get_int64());
    }
  }
  if (const json::Value* doubt = json::find(*value, "doubt")) record.doubt = doubt_from(*doubt);
  return record;
}

}  // namespace penstock::ext::steps
