#include "ext/sinks/mqtt/mqtt_sink.h"

#include <algorithm>

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

// Each once, in order.
void sort_out(std::vector<std::size_t>& positions) {
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
}

ingest::Sent sent_of(mqtt::Published published, const std::vector<std::size_t>& samples,
                     std::vector<std::size_t> unfit) {
  if (!published.confirmed) return {.outcome = ingest::Sent::Outcome::again, .why = std::move(published.why)};
  ingest::Sent sent{.why = std::move(published.why), .rejected = std::move(unfit)};
  if (sent.why.empty() && !sent.rejected.empty()) sent.why = "the sample makes no topic that MQTT allows";
  for (std::size_t position : published.rejected) sent.rejected.push_back(samples[position]);
  sort_out(sent.rejected);
  return sent;
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
  Messages out;
  out.messages.reserve(batch->size());
  for (std::size_t i = 0; i < batch->size(); ++i) {
    const ingest::Sample& sample = (*batch)[i];
    if (options_.samples) add(sample, i, options_.topic, ingest::to_json(sample), out);
    if (options_.alarms && sample.alarm)
      add(sample, i, options_.alarm_topic.value_or(options_.topic), ingest::to_json(*sample.alarm), out);
  }
  if (out.messages.empty()) return done(sent_of({.confirmed = true}, {}, std::move(out.unfit)));
  connection_.publish(std::move(out.messages),
                      [loop = loop_, running = running_, samples = std::move(out.samples), unfit = std::move(out.unfit),
                       done = std::move(done)](mqtt::Published published) {
                        loop->post([running, done, sent = sent_of(std::move(published), samples, unfit)] {
                          if (*running) done(sent);
                        });
                      });
}

void MqttSink::add(const ingest::Sample& sample, std::size_t position, const TopicTemplate& topic, std::string payload,
                   Messages& out) const {
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
