#include "ingest/lane_json.h"

#include "ingest/sample_json.h"

namespace penstock::ingest {
namespace {

json::Value time_value(base::WallMicros time) {
  std::string text;
  append_time(text, time);
  return json::Value(text);
}

json::Array names(const std::vector<std::string>& list) {
  json::Array array;
  for (const std::string& name : list) array.emplace_back(name);
  return array;
}

json::Object status_object(const Status& status) {
  return {{"connected", status.connected},
          {"detail", status.detail},
          {"messages", status.messages},
          {"dropped", status.dropped}};
}

json::Object pipeline_object(const Lane& lane, const Pipeline& pipeline) {
  PipelineStats stats = pipeline.stats();
  json::Array sinks;
  for (const SinkStatus& sink : pipeline.sinks()) {
    json::Object object = status_object(sink.status);
    object["kind"] = sink.kind;
    sinks.push_back(std::move(object));
  }
  json::Object object{{"name", pipeline.name()},
                      {"from", names(lane.pipeline_sources(pipeline.name()))},
                      {"steps", names(pipeline.step_kinds())},
                      {"in", stats.in},
                      {"out", stats.out},
                      {"refused", stats.refused},
                      {"dropped", stats.dropped},
                      {"errors", stats.errors},
                      {"alarms", stats.alarms},
                      {"queued", stats.queued},
                      {"busy_seconds", stats.busy_seconds},
                      {"last_error", stats.last_error},
                      {"sinks", std::move(sinks)}};
  object["last"] = stats.last ? json::parse(to_json(*stats.last)).value_or(json::Value()) : json::Value();
  return object;
}

json::Array alarm_array(const std::vector<AlarmChange>& changes) {
  json::Array array;
  for (const AlarmChange& change : changes) {
    array.push_back(json::Object{{"name", change.name},
                                 {"raised", change.raised},
                                 {"severity", change.severity},
                                 {"pipeline", change.pipeline},
                                 {"device", change.device},
                                 {"at", time_value(change.at)},
                                 {"why", change.why}});
  }
  return array;
}

}  // namespace

json::Value pipelines_json(const Lane& lane) {
  json::Array sources;
  for (const SourceStatus& source : lane.sources()) {
    json::Object object = status_object(source.status);
    object["name"] = source.name;
    object["kind"] = source.kind;
    object["samples"] = source.samples;
    sources.push_back(std::move(object));
  }
  json::Array pipelines;
  for (const auto& pipeline : lane.pipelines()) pipelines.push_back(pipeline_object(lane, *pipeline));
  return json::Object{{"sources", std::move(sources)}, {"pipelines", std::move(pipelines)}};
}

json::Value devices_json(const Lane& lane) {
  json::Array devices;
  for (const LaneDevice& device : lane.devices()) {
    Quality quality = device.status.quality;
    devices.push_back(json::Object{{"device", device.status.device},
                                   {"last_seen", time_value(device.status.last_seen)},
                                   {"last_event", time_value(device.status.last_event)},
                                   {"quality", quality == Quality::good  ? "good"
                                               : quality == Quality::bad ? "bad"
                                                                         : "uncertain"},
                                   {"samples", device.status.samples},
                                   {"pipelines", names(device.pipelines)}});
  }
  return json::Object{{"devices", std::move(devices)}};
}

json::Value alarms_json(const AlarmBoard& board) {
  return json::Object{{"active", alarm_array(board.active())}, {"history", alarm_array(board.history())}};
}

}  // namespace penstock::ingest
