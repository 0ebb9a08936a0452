#include "ext/sources/mqtt/mqtt_source.h"

#include <fmt/format.h>

#include "mqtt/topic.h"
#include "obs/log.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

// A device that sends rubbish all day must not fill the log.
constexpr base::Duration kQuietBetweenLogs = 10s;

std::vector<mqtt::Subscription> read_subscriptions(config::Map& map) {
  const int qos = static_cast<int>(map.integer("qos", 0, 0, 2));
  std::vector<mqtt::Subscription> subscriptions;
  for (const std::string& filter : map.texts("topic")) {
    if (auto checked = mqtt::check_filter(filter); checked) {
      subscriptions.push_back({filter, qos});
    } else {
      map.get("topic").problem(checked.error().detail);
    }
  }
  if (!map.has("topic")) map.required("topic");
  return subscriptions;
}

std::optional<DeviceName> read_device(config::Map& map) {
  if (!map.has("device")) return std::nullopt;
  auto device = DeviceName::parse(map.text("device"));
  if (device) return std::move(*device);
  map.get("device").problem(device.error().detail);
  return std::nullopt;
}

}  // namespace

MqttSource::MqttSource(std::string name, MqttSourceOptions options, MqttDecoder decoder, const base::Clock& clock)
    : name_(std::move(name)),
      clock_(clock),
      connection_(
          std::move(options.broker), std::move(options.subscriptions),
          {.message = [this](const mqtt::Incoming& message) { take(message); }, .burst_end = [this] { hand_over(); }}),
      decoder_(std::move(decoder)) {}

// Before the members that the connection's thread uses go.
MqttSource::~MqttSource() { connection_.stop({}); }

Result<void> MqttSource::start(rt::Loop&, ingest::Emit emit) {
  emit_ = std::move(emit);
  return connection_.start();
}

void MqttSource::stop() { connection_.stop({}); }

ingest::Status MqttSource::status() const {
  mqtt::ConnectionStatus status = connection_.status();
  return {.connected = status.connected,
          .detail = std::move(status.detail),
          .messages = status.received,
          .dropped = malformed_.load(std::memory_order_relaxed) + refused_.load(std::memory_order_relaxed)};
}

void MqttSource::take(const mqtt::Incoming& message) {
  auto decoded = decoder_.decode(message.topic, message.payload, clock_.wall(), burst_);
  if (!decoded) note_malformed(message.topic, decoded.error().detail);
}

void MqttSource::hand_over() {
  if (burst_.empty()) return;
  const std::size_t count = burst_.size();
  std::vector<ingest::Sample> samples;
  samples.swap(burst_);
  burst_.reserve(count);
  if (!emit_(std::move(samples))) refused_.fetch_add(count, std::memory_order_relaxed);
}

void MqttSource::note_malformed(std::string_view topic, const std::string& why) {
  malformed_.fetch_add(1, std::memory_order_relaxed);
  ++unlogged_;
  const base::SteadyTime now = clock_.steady();
  if (now < quiet_until_) return;
  quiet_until_ = now + kQuietBetweenLogs;
  obs::log(obs::Level::warn, "malformed payload dropped",
           {{"source", name_},
            {"topic", std::string(topic)},
            {"why", why},
            {"count", fmt::format("{}", std::exchange(unlogged_, 0))}});
}

std::unique_ptr<ingest::Source> make_mqtt_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context) {
  MqttSourceOptions options;
  options.broker = mqtt::read_options(kind, map);
  options.subscriptions = read_subscriptions(map);
  const MqttFormat format =
      map.choice("format", {"json", "text"}, "json") == "text" ? MqttFormat::text : MqttFormat::json;
  const std::string field = map.text("field");
  if (!field.empty() && format == MqttFormat::json) {
    map.get("field").problem("`field` names the value of `format: text`; JSON names its own");
  }
  std::vector<std::string> filters;
  for (const mqtt::Subscription& one : options.subscriptions) filters.push_back(one.filter);
  MqttDecoder decoder(name, format, field, read_device(map), filters);
  return std::make_unique<MqttSource>(name, std::move(options), std::move(decoder), *context.clock);
}

}  // namespace penstock::ext
