#include "ext/sinks/mqtt/mqtt_sink.h"

#include "ingest/sample_json.h"
#include "mqtt/topic.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kQueueMessages = 10'000;
constexpr base::Duration kFlushWithin = 2s;

TopicTemplate read_topic(config::Map& map, bool with_alarm) {
  auto topic = TopicTemplate::parse(map.required_text("topic"), with_alarm);
  if (topic) return std::move(*topic);
  if (map.has("topic")) map.get("topic").problem(topic.error().detail);
  return {};
}

}  // namespace

MqttSink::MqttSink(std::string pipeline, MqttSinkOptions options)
    : pipeline_(std::move(pipeline)),
      topic_(std::move(options.topic)),
      qos_(options.qos),
      retain_(options.retain),
      samples_(options.samples),
      alarms_(options.alarms),
      connection_(std::move(options.broker), {}, {}, kQueueMessages) {}

Result<void> MqttSink::start(rt::Loop&) { return connection_.start(); }

void MqttSink::stop() { connection_.stop(kFlushWithin); }

void MqttSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  for (const ingest::Sample& sample : *batch) {
    if (samples_) publish(sample, ingest::to_json(sample));
    if (alarms_ && sample.alarm) publish(sample, ingest::to_json(*sample.alarm));
  }
  done({});
}

void MqttSink::publish(const ingest::Sample& sample, std::string payload) {
  std::string topic = topic_.render(sample, pipeline_);
  // A device name may hold bytes that are no UTF-8, which the protocol forbids.
  if (!mqtt::check_topic(topic)) {
    unfit_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  connection_.publish({.topic = std::move(topic), .payload = std::move(payload), .qos = qos_, .retain = retain_});
}

ingest::Status MqttSink::status() const {
  mqtt::ConnectionStatus status = connection_.status();
  return {.connected = status.connected,
          .detail = std::move(status.detail),
          .messages = status.delivered,
          .dropped = status.dropped + unfit_.load(std::memory_order_relaxed)};
}

std::unique_ptr<ingest::Sink> make_mqtt_sink(const std::string& pipeline, const config::Node&, config::Map& map,
                                             const ingest::Context&) {
  MqttSinkOptions options;
  options.broker = mqtt::read_options(map.get("url"), map);
  const std::string what = map.choice("what", {"samples", "alarms", "all"}, "samples");
  options.samples = what != "alarms";
  options.alarms = what != "samples";
  options.topic = read_topic(map, what == "alarms");
  options.qos = static_cast<int>(map.integer("qos", 0, 0, 2));
  options.retain = map.boolean("retain", false);
  return std::make_unique<MqttSink>(pipeline, std::move(options));
}

}  // namespace penstock::ext
