#include "ext/sinks/mqtt/sparkplug_node.h"

#include <algorithm>

#include "mqtt/topic.h"

namespace penstock::ext {
namespace {

namespace sparkplug = mqtt::sparkplug;
using sparkplug::Kind;
using sparkplug::Payload;

constexpr std::uint64_t kNumbers = 256;  // of births and of messages

sparkplug::Metric birth_number_metric(std::uint64_t number) {
  sparkplug::Metric metric;
  metric.name = sparkplug::kBirthNumber;
  metric.type = sparkplug::DataType::int64;
  metric.value = number;
  return metric;
}

// Sparkplug's quality codes, as OPC has them.
int quality_of(ingest::Quality quality) {
  if (quality == ingest::Quality::good) return 192;
  return quality == ingest::Quality::uncertain ? 64 : 0;
}

}  // namespace

sparkplug::Topic SparkplugNode::topic(Kind kind, std::string device) const {
  return {group_, kind, node_, std::move(device)};
}

// With mutex_ held, as below. Every message of a node is numbered, whichever device it is of.
mqtt::Outgoing SparkplugNode::message(Kind kind, const std::string& device, Payload payload) {
  payload.sequence = std::exchange(sequence_, (sequence_ + 1) % kNumbers);
  return {.topic = topic(kind, device).text(), .payload = sparkplug::encode(payload)};
}

mqtt::Will SparkplugNode::will() {
  std::lock_guard lock(mutex_);
  birth_number_ = (birth_number_ + 1) % kNumbers;
  mqtt::Outgoing death = farewell();
  return {.topic = std::move(death.topic), .payload = std::move(death.payload), .qos = death.qos, .retain = false};
}

// With mutex_ held. By will and on purpose it is the same.
mqtt::Outgoing SparkplugNode::farewell() const {
  const Payload death{.timestamp_ms = 0, .sequence = std::nullopt, .metrics = {birth_number_metric(birth_number_)}};
  return {.topic = topic(Kind::ndeath).text(), .payload = sparkplug::encode(death), .qos = 1, .retain = false};
}

std::optional<mqtt::Outgoing> SparkplugNode::death() {
  std::lock_guard lock(mutex_);
  if (!std::exchange(alive_, false)) return std::nullopt;
  return farewell();
}

std::vector<mqtt::Outgoing> SparkplugNode::births(std::uint64_t now) {
  std::lock_guard lock(mutex_);
  alive_ = true;
  sequence_ = 0;
  sparkplug::Metric control;
  control.name = sparkplug::kRebirth;
  control.type = sparkplug::DataType::boolean;
  control.value = false;
  std::vector<mqtt::Outgoing> out;
  out.push_back(message(Kind::nbirth, {},
                        {.timestamp_ms = now,
                         .sequence = std::nullopt,
                         .metrics = {birth_number_metric(birth_number_), std::move(control)}}));
  for (const auto& [name, device] : devices_) out.push_back(birth(name, device, now));
  return out;
}

void SparkplugNode::lost() {
  std::lock_guard lock(mutex_);
  alive_ = false;
}

mqtt::Outgoing SparkplugNode::birth(const std::string& name, const Device& device, std::uint64_t now) {
  Payload payload{.timestamp_ms = now, .sequence = std::nullopt, .metrics = {}};
  for (const auto& [field, known] : device) {
    sparkplug::Metric metric;
    metric.name = field;
    metric.alias = known.alias;
    metric.timestamp_ms = known.at;
    metric.type = known.type;
    metric.value = sparkplug::raw(known.value);
    metric.unit = known.unit;
    payload.metrics.push_back(std::move(metric));
  }
  return message(Kind::dbirth, name, std::move(payload));
}

// False when there would be too many. `changed`: the device has to be born again.
bool SparkplugNode::learn(const ingest::Sample& sample, std::uint64_t at, Device& device, bool& changed) {
  for (const ingest::Field& field : sample.fields) {
    auto found = device.find(field.name);
    if (found == device.end()) {
      if (device.size() >= kMetricsMax) return false;
      found = device.emplace(field.name, Metric{.alias = next_alias_++, .unit = {}, .value = {}}).first;
      changed = true;
    }
    Metric& metric = found->second;
    const sparkplug::DataType type = sparkplug::type_of(field.value);
    changed = changed || metric.type != type || metric.unit != field.unit;
    metric.type = type;
    metric.unit = field.unit;
    if (at < metric.at) continue;
    metric.value = field.value;
    metric.at = at;
  }
  return true;
}

mqtt::Outgoing SparkplugNode::data(const std::string& name, const Device& device, const ingest::Sample& sample,
                                   std::uint64_t at, bool historical) {
  Payload payload{.timestamp_ms = at, .sequence = std::nullopt, .metrics = {}};
  for (const ingest::Field& field : sample.fields) {
    sparkplug::Metric metric;
    metric.alias = device.find(field.name)->second.alias;
    metric.timestamp_ms = at;
    metric.type = sparkplug::type_of(field.value);
    metric.value = sparkplug::raw(field.value);
    metric.historical = historical;
    if (sample.quality != ingest::Quality::good) metric.quality = quality_of(sample.quality);
    payload.metrics.push_back(std::move(metric));
  }
  return message(Kind::ddata, name, std::move(payload));
}

std::optional<BatchMessages> SparkplugNode::encode(const std::vector<ingest::Sample>& samples) {
  std::lock_guard lock(mutex_);
  if (!alive_) return std::nullopt;
  BatchMessages out{.messages = {}};
  out.why_unfit = "the sample has no fields, a name that MQTT does not allow, or one too many for a Sparkplug node";
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const ingest::Sample& sample = samples[i];
    const std::string name = mqtt::as_level(sample.device);
    const auto at = static_cast<std::uint64_t>(std::max<base::WallMicros>(0, sample.event_time / 1000));
    auto found = devices_.find(name);
    bool changed = false;
    bool fits =
        !sample.fields.empty() && mqtt::check_topic(name) && (found != devices_.end() || devices_.size() < kDevicesMax);
    if (fits && found == devices_.end()) found = devices_.emplace(name, Device{}).first;
    // A sample sent late, out of a buffer: what is newer stays the current value.
    const bool historical = fits && std::any_of(found->second.begin(), found->second.end(),
                                                [&](const auto& one) { return one.second.at > at; });
    if (!fits || !learn(sample, at, found->second, changed)) {
      out.unfit.push_back(i);
      continue;
    }
    if (changed) {
      out.messages.push_back(birth(name, found->second, at));
      out.samples.push_back(i);
    }
    // A birth has the values already, unless they are of the past or of bad quality.
    if (changed && !historical && sample.quality == ingest::Quality::good) continue;
    out.messages.push_back(data(name, found->second, sample, at, historical));
    out.samples.push_back(i);
  }
  return out;
}

bool SparkplugNode::asks_for_birth(std::string_view payload) {
  const auto command = sparkplug::decode(payload);
  return command && std::any_of(command->metrics.begin(), command->metrics.end(), [](const sparkplug::Metric& metric) {
           return metric.name == sparkplug::kRebirth &&
                  sparkplug::value_of(metric, sparkplug::DataType::boolean) == sparkplug::Value(true);
         });
}

}  // namespace penstock::ext
