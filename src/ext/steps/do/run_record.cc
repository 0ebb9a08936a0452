#include "ext/steps/do/run_record.h"

#include "json/value.h"

namespace penstock::ext::steps {

std::string to_text(const RunRecord& record) {
  std::string out = "{\"device\":";
  json::append_quoted(out, record.device);
  out += ",\"id\":";
  json::append_quoted(out, record.id);
  out += ",\"trigger\":";
  json::append_quoted(out, record.trigger);
  out += ",\"stage\":";
  json::append_quoted(out, record.stage);
  return out + fmt::format(",\"alarm_at\":{},\"newest\":{},\"passed_at\":{},\"began\":{},\"starts\":[{}]}}",
                           record.alarm_at, record.newest, record.passed_at, record.began,
                           fmt::join(record.starts, ","));
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
  return record;
}

}  // namespace penstock::ext::steps
