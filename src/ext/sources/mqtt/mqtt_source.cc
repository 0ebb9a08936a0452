#include "ext/sources/mqtt/mqtt_source.h"

#include <fmt/format.h>

#include "mqtt/topic.h"
#include "obs/log.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

// A device that sends rubbish all day must not fill the log.
constexpr base::Duration kQuietBetweenLogs = 10s;

// User properties of one message: they become tags of each of its samples, of which there may be thousands.
constexpr std::size_t kPropertiesMax = 64;
constexpr std::size_t kPropertiesBytesMax = 4096;
// Of what a stranger chose, in the log.
constexpr std::size_t kShownMax = 200;

Result<void> check_properties(const std::vector<std::pair<std::string, std::string>>& properties) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : properties) bytes += name.size() + value.size();
  if (properties.size() <= kPropertiesMax && bytes <= kPropertiesBytesMax) return {};
  return fail(Errc::out_of_range,
              fmt::format("more than {} user properties, or {} bytes of them", kPropertiesMax, kPropertiesBytesMax));
}

// How long a broker keeps messages for a source that must not lose any.
constexpr base::Duration kSession = std::chrono::hours(7 * 24);
constexpr base::Duration kSessionMost = std::chrono::hours(365 * 24);

mqtt::Retained read_retained(config::Map& map, mqtt::Version version) {
  const std::string retained = map.choice("retained", {"all", "new", "none"}, "all");
  if (retained == "new" && version != mqtt::Version::v5)
    map.get("retained").problem("only MQTT 5 tells new subscriptions from old ones: write `version: 5`");
  if (retained == "none") return mqtt::Retained::none;
  return retained == "new" ? mqtt::Retained::if_new : mqtt::Retained::all;
}

void read_subscriptions(config::Map& map, MqttSourceOptions& options) {
  const int qos = static_cast<int>(map.integer("qos", 0, 0, 2));
  options.properties = map.boolean("properties", false);
  if (options.properties && options.broker.version != mqtt::Version::v5)
    map.get("properties").problem("only MQTT 5 has properties: write `version: 5`");
  const mqtt::Retained retained = read_retained(map, options.broker.version);
  for (const std::string& filter : map.texts("topic")) {
    if (auto checked = mqtt::check_filter(filter); checked) {
      options.subscriptions.push_back({filter, qos, retained, options.properties});
    } else {
      map.get("topic").problem(checked.error().detail);
    }
  }
  if (!map.has("topic")) map.required("topic");
  options.durable = map.boolean("durable", qos == 1);
  // The library takes a message of QoS 2 out of its own memory after the broker was told that it is safe.
  if (options.durable && qos != 1)
    map.get("durable").problem("`durable` goes with `qos: 1`: nothing is acknowledged at 0, and at 2 too early");
}

void read_session(config::Map& map, MqttSourceOptions& options) {
  const base::Duration session = map.duration("session", options.durable ? kSession : base::Duration::zero());
  if (session < base::Duration::zero() || session > kSessionMost)
    map.get("session").problem("a session is kept from 0s (not at all) to 365d");
  options.broker.session = std::chrono::duration_cast<std::chrono::seconds>(session);
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
      durable_(options.durable),
      without_retained_(!options.subscriptions.empty() &&
                        options.subscriptions.front().retained == mqtt::Retained::none),
      sparkplug_(std::move(options.sparkplug)),
      connection_(std::move(options.broker), std::move(options.subscriptions), handlers()),
      decoder_(std::move(decoder)) {}

mqtt::Handlers MqttSource::handlers() {
  mqtt::Handlers handlers{.message = [this](const mqtt::Incoming& message) { take(message); },
                          .burst_end = [this] { hand_over(); }};
  if (durable_) handlers.store = [this](mqtt::Handlers::Settled settled) { store(std::move(settled)); };
  return handlers;
}

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

Result<void> MqttSource::decode(const mqtt::Incoming& message) {
  if (!sparkplug_) return decoder_.decode(message.topic, message.payload, clock_.wall(), burst_);
  std::vector<mqtt::Outgoing> requests;
  auto decoded = sparkplug_->decode(message.topic, message.payload, clock_.wall(), clock_.steady(), burst_, requests);
  for (mqtt::Outgoing& request : requests) connection_.publish(std::move(request));
  return decoded;
}

void MqttSource::take(const mqtt::Incoming& message) {
  if (message.retained && without_retained_) return;
  const std::size_t before = burst_.size();
  auto decoded = message.properties == nullptr ? Result<void>() : check_properties(*message.properties);
  if (decoded) decoded = decode(message);
  if (!decoded) return note_malformed(message.topic, decoded.error().detail);
  if (message.properties == nullptr) return;
  for (std::size_t i = before; i < burst_.size(); ++i)
    burst_[i].tags.insert(burst_[i].tags.end(), message.properties->begin(), message.properties->end());
}

// A copy, because the journal may refuse it and is then asked again.
void MqttSource::store(mqtt::Handlers::Settled settled) {
  if (burst_.empty()) return settled(true);
  emit_.store(burst_, std::move(settled));
}

// What is durable has been stored.
void MqttSource::hand_over() {
  if (burst_.empty()) return;
  const std::size_t count = burst_.size();
  std::vector<ingest::Sample> samples;
  samples.swap(burst_);
  if (durable_) return;
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
            {"topic", std::string(topic.substr(0, kShownMax))},
            {"why", why},
            {"count", fmt::format("{}", std::exchange(unlogged_, 0))}});
}

std::unique_ptr<ingest::Source> make_mqtt_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context) {
  MqttSourceOptions options;
  options.broker = mqtt::read_options(kind, map);
  options.broker.identity = {context.data_dir, name};
  read_subscriptions(map, options);
  read_session(map, options);
  const std::string written = map.choice("format", {"json", "text", "sparkplug"}, "json");
  const MqttFormat format = written == "text" ? MqttFormat::text : MqttFormat::json;
  const std::string field = map.text("field");
  if (!field.empty() && format != MqttFormat::text) {
    map.get("field").problem("`field` names the value of `format: text`; JSON names its own");
  }
  std::vector<std::string> filters;
  for (const mqtt::Subscription& one : options.subscriptions) filters.push_back(one.filter);
  std::optional<DeviceName> device = read_device(map);
  if (written == "sparkplug") options.sparkplug.emplace(device);
  MqttDecoder decoder(name, format, field, std::move(device), filters);
  return std::make_unique<MqttSource>(name, std::move(options), std::move(decoder), *context.clock);
}

}  // namespace penstock::ext
