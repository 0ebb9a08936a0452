#include "ext/sources/mqtt/sparkplug_decoder.h"

#include <fmt/format.h>

#include <limits>

#include "ingest/device_check.h"
#include "ingest/sample_json.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
namespace sparkplug = mqtt::sparkplug;
using sparkplug::Kind;
using sparkplug::Metric;

constexpr std::size_t kPayloadBytesMax = 1 << 20;
constexpr std::uint64_t kSequences = 256;
// A node that does not answer is asked no more often.
constexpr base::Duration kAskEvery = 10s;
// Sparkplug's quality codes, as OPC has them: good from here, bad below the other.
constexpr int kGood = 192, kUncertain = 64, kStale = 500;

bool control(std::string_view name) {
  return name == sparkplug::kBirthNumber || name.starts_with("Node Control/") || name.starts_with("Device Control/");
}

ingest::Quality quality_of(const Metric& metric) {
  if (!metric.quality || (*metric.quality >= kGood && *metric.quality != kStale)) return ingest::Quality::good;
  return *metric.quality >= kUncertain ? ingest::Quality::uncertain : ingest::Quality::bad;
}

std::optional<std::uint64_t> birth_number(const sparkplug::Payload& payload) {
  for (const Metric& metric : payload.metrics) {
    if (metric.name != sparkplug::kBirthNumber) continue;
    if (const auto* number = std::get_if<std::uint64_t>(&metric.value)) return *number;
  }
  return std::nullopt;
}

// A metric with its unit, alias and last value, or a device, in the tables that remember it. The name stands there
// twice.
constexpr std::size_t kEntryBytes = 384;

std::size_t bytes_of(std::string_view name) { return kEntryBytes + 2 * name.size(); }

// What would be kept of a value; nothing of long ones.
bool worth_keeping(const ingest::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->size() <= SparkplugDecoder::kLastBytesMax;
  if (const auto* array = std::get_if<std::vector<double>>(&value))
    return array->size() * sizeof(double) <= SparkplugDecoder::kLastBytesMax;
  return true;
}

base::WallMicros micros(std::uint64_t milliseconds, base::WallMicros otherwise) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<base::WallMicros>::max() / 1000);
  return milliseconds == 0 || milliseconds > kMost ? otherwise : static_cast<base::WallMicros>(milliseconds) * 1000;
}

mqtt::Outgoing rebirth(const sparkplug::Topic& of, base::WallMicros now) {
  Metric metric;
  metric.name = sparkplug::kRebirth;
  metric.type = sparkplug::DataType::boolean;
  metric.value = true;
  const auto at = static_cast<std::uint64_t>(std::max<base::WallMicros>(0, now / 1000));
  const sparkplug::Topic topic{of.group, Kind::ncmd, of.node, {}};
  return {.topic = topic.text(),
          .payload = sparkplug::encode({.timestamp_ms = at, .sequence = std::nullopt, .metrics = {std::move(metric)}})};
}

}  // namespace

Result<void> SparkplugDecoder::decode(std::string_view topic, std::string_view payload, base::WallMicros now,
                                      base::SteadyTime steady, std::vector<ingest::Sample>& out,
                                      std::vector<mqtt::Outgoing>& requests) {
  auto parsed = sparkplug::parse_topic(topic);
  if (!parsed) {
    if (topic.starts_with("spBv1.0/STATE/")) return {};  // of other hosts
    return fail(Errc::invalid_argument, "no Sparkplug topic: spBv1.0/GROUP/KIND/NODE[/DEVICE]");
  }
  if (parsed->kind == Kind::ncmd || parsed->kind == Kind::dcmd) return {};
  for (const std::string* name : {&parsed->node, &parsed->device}) {
    if (name->empty()) continue;
    if (auto fine = ingest::check_device(*name); !fine) return fine;
  }
  if (payload.size() > kPayloadBytesMax) return fail(Errc::out_of_range, "the payload is larger than 1 MiB");
  auto decoded = sparkplug::decode(payload);
  if (!decoded) return std::unexpected(decoded.error());
  const Message message{std::move(*parsed), std::move(*decoded), topic, now};
  Node* node = find(message);
  if (node == nullptr) {
    return fail(
        Errc::resource_exhausted,
        fmt::format("{} Sparkplug nodes are known already; narrow `topic`, or give the others a source of their "
                    "own",
                    kNodesMax));
  }

  const Kind kind = message.topic.kind;
  if (kind == Kind::ndeath) {
    // One of an earlier life, that a broker sent late, is none.
    const auto number = birth_number(message.payload);
    if (node->born && number && *number != node->birth_number) return {};
    if (node->born) {
      for (const auto& [device, metrics] : node->devices) emit_death(metrics, device, message, out);
    }
    forget_all(*node);
    return {};
  }
  bool ask = kind == Kind::nbirth ? false : !in_order(*node, message);
  if (kind == Kind::nbirth || kind == Kind::dbirth) {
    if (auto learnt = learn(*node, message); !learnt) return learnt;
  }
  const std::size_t before = out.size();
  if (kind == Kind::ddeath) {
    const auto found = node->devices.find(message.topic.device);
    if (found != node->devices.end()) {
      emit_death(found->second, found->first, message, out);
      forget(*node, message.topic.device);
    }
  } else {
    emit(*node, message, ask, out);
  }
  if (ask && steady >= node->ask_after) {
    node->ask_after = steady + kAskEvery;
    requests.push_back(rebirth(message.topic, now));
  }
  if (ask && out.size() == before && !message.payload.metrics.empty())
    return fail(Errc::failed_precondition, "the birth of this node was not seen yet; it was asked for");
  return {};
}

// One of the nodes that were not born gives way.
SparkplugDecoder::Node* SparkplugDecoder::find(const Message& message) {
  std::string key = message.topic.group + "/" + message.topic.node;
  auto found = nodes_.find(key);
  if (found != nodes_.end()) return &found->second;
  if (nodes_.size() >= kNodesMax) {
    const auto unborn = std::find_if(nodes_.begin(), nodes_.end(), [](const auto& one) { return !one.second.born; });
    if (unborn == nodes_.end()) return nullptr;
    forget_all(unborn->second);
    nodes_.erase(unborn);
  }
  return &nodes_[std::move(key)];
}

// Whether nothing of the node was missed.
bool SparkplugDecoder::in_order(Node& node, const Message& message) const {
  const std::uint64_t sequence = message.payload.sequence.value_or(node.next);
  const bool expected = node.born && sequence == node.next;
  node.next = (sequence + 1) % kSequences;
  return expected;
}

Result<void> SparkplugDecoder::learn(Node& node, const Message& message) {
  if (message.topic.kind == Kind::nbirth) {
    forget_all(node);
    node.born = true;
    node.birth_number = birth_number(message.payload).value_or(0);
    node.next = (message.payload.sequence.value_or(0) + 1) % kSequences;
  }
  forget(node, message.topic.device);
  Result<void> learnt;
  if (!charge(node, bytes_of(message.topic.device)))
    return fail(Errc::resource_exhausted, "there is no memory left for what Sparkplug nodes say of themselves");
  Metrics& metrics = node.devices[message.topic.device];
  for (const Metric& metric : message.payload.metrics) {
    if (metric.name.empty() || control(metric.name)) continue;
    if (learnt = add(node, metrics, metric); !learnt) break;
  }
  return learnt;
}

// A name that stands in a birth twice is what it was said to be last.
Result<void> SparkplugDecoder::add(Node& node, Metrics& metrics, const Metric& metric) {
  auto known = metrics.find(metric.name);
  if (known == metrics.end()) {
    if (node.metrics >= kMetricsMax)
      return fail(Errc::resource_exhausted, fmt::format("the Sparkplug node has more than {} metrics", kMetricsMax));
    known = metrics.emplace(metric.name, Known{.name = metric.name, .unit = {}, .alias = {}, .last = {}}).first;
    ++node.metrics;
    if (!charge(node, bytes_of(metric.name))) {
      metrics.erase(known);
      --node.metrics;
      return fail(Errc::resource_exhausted,
                  fmt::format("what this Sparkplug node, or all of them, say of themselves is more than {} MiB, or {} "
                              "MiB: shorten the names of metrics, or give them sources of their own",
                              kNodeBytesMax >> 20U, kBytesMax >> 20U));
    }
  }
  Known& one = known->second;
  one.type = metric.type;
  if (one.alias) node.aliases.erase(*one.alias);
  one.alias = metric.alias;
  // An alias belongs to whom it was given last.
  if (metric.alias) {
    Known*& place = node.aliases[*metric.alias];
    if (place != nullptr && place != &one) place->alias.reset();
    place = &one;
  }
  one.unit = metric.unit.substr(0, kUnitBytesMax);
  return {};
}

// Counted against the node and against all; false when it does not fit.
bool SparkplugDecoder::charge(Node& node, std::size_t bytes) {
  if (node.bytes + bytes > kNodeBytesMax || bytes_ + bytes > kBytesMax) return false;
  node.bytes += bytes;
  bytes_ += bytes;
  return true;
}

void SparkplugDecoder::forget(Node& node, const std::string& device) {
  const auto found = node.devices.find(device);
  if (found == node.devices.end()) return;
  std::size_t bytes = bytes_of(device);
  for (const auto& [name, known] : found->second) {
    bytes += bytes_of(name);
    if (known.alias) node.aliases.erase(*known.alias);
  }
  node.metrics -= found->second.size();
  node.bytes -= bytes;
  bytes_ -= bytes;
  node.devices.erase(found);
}

// But for when it may be asked again.
void SparkplugDecoder::forget_all(Node& node) {
  bytes_ -= node.bytes;
  const base::SteadyTime ask_after = node.ask_after;
  node = Node{};
  node.ask_after = ask_after;
}

void SparkplugDecoder::emit(Node& node, const Message& message, bool& unknown, std::vector<ingest::Sample>& out) {
  const auto device = node.devices.find(message.topic.device);
  const base::WallMicros otherwise = micros(message.payload.timestamp_ms, message.now);
  const std::size_t first = out.size();
  std::map<std::pair<base::WallMicros, ingest::Quality>, std::size_t> moments;  // where in `out`
  for (const Metric& metric : message.payload.metrics) {
    if (control(metric.name)) continue;
    Known* known = nullptr;
    if (device != node.devices.end()) {
      if (auto named = device->second.find(metric.name); named != device->second.end()) known = &named->second;
    }
    if (auto alias = metric.alias ? node.aliases.find(*metric.alias) : node.aliases.end(); alias != node.aliases.end())
      known = alias->second;
    if (known == nullptr) {
      unknown = true;
      continue;
    }
    auto value = sparkplug::value_of(metric, known->type);
    if (!value) continue;
    const base::WallMicros at = micros(metric.timestamp_ms, otherwise);
    const ingest::Quality quality = quality_of(metric);
    auto [place, fresh] = moments.try_emplace({at, quality}, out.size());
    if (!fresh && out[place->second].fields.size() >= ingest::kSampleFieldsMax) {
      place->second = out.size();
      fresh = true;
    }
    if (fresh) out.push_back(begin(message, message.topic.device, at));
    ingest::Sample& sample = out[place->second];
    sample.quality = quality;
    if (metric.historical && sample.tags.empty()) sample.tags.emplace_back("historical", "true");
    if (!metric.historical) known->last = worth_keeping(*value) ? value : std::nullopt;
    sample.set(known->name, std::move(*value), known->unit);
  }
  for (std::size_t i = first; i < out.size(); ++i) finish(message, out[i]);
}

void SparkplugDecoder::emit_death(const Metrics& metrics, const std::string& device, const Message& message,
                                  std::vector<ingest::Sample>& out) const {
  const std::size_t first = out.size();
  for (const auto& [name, known] : metrics) {
    if (!known.last) continue;
    if (out.size() == first || out.back().fields.size() >= ingest::kSampleFieldsMax) {
      out.push_back(begin(message, device, micros(message.payload.timestamp_ms, message.now)));
      out.back().quality = ingest::Quality::bad;
    }
    out.back().fields.push_back({name, *known.last, known.unit});
  }
  for (std::size_t i = first; i < out.size(); ++i) finish(message, out[i]);
}

ingest::Sample SparkplugDecoder::begin(const Message& message, const std::string& device, base::WallMicros at) const {
  ingest::Sample sample;
  sample.event_time = at;
  sample.ingest_time = message.now;
  sample.device = device.empty() ? message.topic.node : device;
  return sample;
}

// The pattern may name fields, which are there now.
void SparkplugDecoder::finish(const Message& message, ingest::Sample& sample) const {
  if (!device_) return;
  if (auto name = device_->render(message.topic_text, sample)) sample.device = std::move(*name);
}

}  // namespace penstock::ext
