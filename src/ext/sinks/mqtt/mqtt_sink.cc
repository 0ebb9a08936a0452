#include "ext/sinks/mqtt/mqtt_sink.h"

#include "ext/sinks/mqtt/sparkplug_sink.h"
#include "ingest/sample_json.h"
#include "mqtt/topic.h"

namespace penstock::ext {
namespace {

TopicTemplate read_topic(config::Map& map, const char* key, bool with_alarm) {
  auto topic = TopicTemplate::parse(map.required_text(key), with_alarm);
  if (topic) return std::move(*topic);
  if (map.has(key)) map.get(key).problem(topic.error().detail);
  return {};
}

}  // namespace

MqttSink::MqttSink(std::string pipeline, MqttSinkOptions options)
    : pipeline_(std::move(pipeline)), options_(std::move(options)), connection_(options_.broker, {}, {}) {}

Result<void> MqttSink::start(rt::Loop& loop) {
  loop_ = &loop;
  *running_ = true;
  return connection_.start();
}

void MqttSink::stop() {
  *running_ = false;
  connection_.stop({});
}

void MqttSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  BatchMessages out;
  out.messages.reserve(batch->size());
  for (std::size_t i = 0; i < batch->size(); ++i) {
    const ingest::Sample& sample = (*batch)[i];
    if (options_.samples) add(sample, i, options_.topic, ingest::to_json(sample), out);
    if (options_.alarms && sample.alarm)
      add(sample, i, options_.alarm_topic.value_or(options_.topic), ingest::to_json(*sample.alarm), out);
  }
  publish(connection_, std::move(out), *loop_, running_, std::move(done));
}

void MqttSink::add(const ingest::Sample& sample, std::size_t position, const TopicTemplate& topic, std::string payload,
                   BatchMessages& out) const {
  std::string name = topic.render(sample, pipeline_);
  // A device name may hold bytes that are no UTF-8, which the protocol forbids.
  if (!mqtt::check_topic(name)) return out.unfit.push_back(position);
  mqtt::Outgoing message{
      .topic = std::move(name), .payload = std::move(payload), .qos = options_.qos, .retain = options_.retain};
  if (options_.properties) {
    message.content_type = "application/json";
    message.properties = sample.tags;
  }
  out.messages.push_back(std::move(message));
  out.samples.push_back(position);
}

ingest::Status MqttSink::status() const {
  mqtt::ConnectionStatus status = connection_.status();
  return {
      .connected = status.connected, .detail = std::move(status.detail), .messages = status.delivered, .dropped = 0};
}

std::unique_ptr<ingest::Sink> make_mqtt_sink(const std::string& pipeline, const config::Node&, config::Map& map,
                                             const ingest::Context&) {
  MqttSinkOptions options;
  options.broker = mqtt::read_options(map.get("url"), map);
  if (map.has("sparkplug")) return make_sparkplug_sink(std::move(options.broker), map.get("sparkplug"));
  const std::string what = map.choice("what", {"samples", "alarms", "all"}, "samples");
  options.samples = what != "alarms";
  options.alarms = what != "samples";
  options.topic = read_topic(map, "topic", what == "alarms");
  if (map.has("alarm_topic")) {
    options.alarm_topic = read_topic(map, "alarm_topic", true);
    if (!options.alarms) map.get("alarm_topic").problem("no alarms go out; add `what: all`, or `what: alarms`");
  }
  options.qos = static_cast<int>(map.integer("qos", 0, 0, 2));
  options.retain = map.boolean("retain", false);
  options.properties = map.boolean("properties", false);
  if (options.properties && options.broker.version != mqtt::Version::v5)
    map.get("properties").problem("only MQTT 5 has properties: write `version: 5`");
  return std::make_unique<MqttSink>(pipeline, std::move(options));
}

}  // namespace penstock::ext
