#include "ext/sources/mqtt/sparkplug_decoder.h"

#include <fmt/format.h>

#include <limits>

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
  if (payload.size() > kPayloadBytesMax) return fail(Errc::out_of_range, "the payload is larger than 1 MiB");
  auto decoded = sparkplug::decode(payload);
  if (!decoded) return std::unexpected(decoded.error());
  const Message message{std::move(*parsed), std::move(*decoded), topic, now};
  Node* node = find(message);
  if (node == nullptr) return fail(Errc::resource_exhausted, fmt::format("more than {} Sparkplug nodes", kNodesMax));

  const Kind kind = message.topic.kind;
  if (kind == Kind::ndeath) {
    // One of an earlier life, that a broker sent late, is none.
    const auto number = birth_number(message.payload);
    if (!node->born || (number && *number != node->birth_number)) return {};
    node->born = false;
    for (const auto& [device, metrics] : node->devices) emit_death(metrics, device, message, out);
    return {};
  }
  bool ask = kind == Kind::nbirth ? false : !in_order(*node, message);
  if (kind == Kind::nbirth || kind == Kind::dbirth) {
    if (auto learnt = learn(*node, message); !learnt) return learnt;
  }
  const std::size_t before = out.size();
  if (kind == Kind::ddeath) {
    const auto found = node->devices.find(message.topic.device);
    if (found != node->devices.end()) emit_death(found->second, found->first, message, out);
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

SparkplugDecoder::Node* SparkplugDecoder::find(const Message& message) {
  std::string key = message.topic.group + "/" + message.topic.node;
  auto found = nodes_.find(key);
  if (found != nodes_.end()) return &found->second;
  if (nodes_.size() >= kNodesMax) return nullptr;
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
    node = Node{};
    node.born = true;
    node.birth_number = birth_number(message.payload).value_or(0);
    node.next = (message.payload.sequence.value_or(0) + 1) % kSequences;
  }
  Metrics& metrics = node.devices[message.topic.device];
  std::erase_if(node.aliases, [&](const auto& alias) {
    return std::any_of(metrics.begin(), metrics.end(), [&](const auto& one) { return &one.second == alias.second; });
  });
  node.metrics -= metrics.size();
  metrics.clear();
  for (const Metric& metric : message.payload.metrics) {
    if (metric.name.empty() || control(metric.name)) continue;
    if (node.metrics + metrics.size() >= kMetricsMax)
      return fail(Errc::resource_exhausted, fmt::format("the Sparkplug node has more than {} metrics", kMetricsMax));
    Known& known = metrics[metric.name];
    known = {metric.name, metric.type, metric.unit, std::nullopt};
    if (metric.alias) node.aliases[*metric.alias] = &known;
  }
  node.metrics += metrics.size();
  return {};
}

void SparkplugDecoder::emit(Node& node, const Message& message, bool& unknown, std::vector<ingest::Sample>& out) {
  Metrics& metrics = node.devices[message.topic.device];
  const base::WallMicros otherwise = micros(message.payload.timestamp_ms, message.now);
  const std::size_t first = out.size();
  for (const Metric& metric : message.payload.metrics) {
    if (control(metric.name)) continue;
    Known* known = nullptr;
    if (auto named = metrics.find(metric.name); named != metrics.end()) known = &named->second;
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
    auto same = std::find_if(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
                             [&](const auto& sample) { return sample.event_time == at && sample.quality == quality; });
    if (same == out.end()) {
      out.push_back(begin(message, message.topic.device, at));
      same = out.end() - 1;
      same->quality = quality;
    }
    if (metric.historical && same->tags.empty()) same->tags.emplace_back("historical", "true");
    if (!metric.historical) known->last = *value;
    same->set(known->name, std::move(*value), known->unit);
  }
  for (std::size_t i = first; i < out.size(); ++i) finish(message, out[i]);
}

void SparkplugDecoder::emit_death(const Metrics& metrics, const std::string& device, const Message& message,
                                  std::vector<ingest::Sample>& out) const {
  ingest::Sample sample = begin(message, device, micros(message.payload.timestamp_ms, message.now));
  sample.quality = ingest::Quality::bad;
  for (const auto& [name, known] : metrics) {
    if (known.last) sample.set(name, *known.last, known.unit);
  }
  if (sample.fields.empty()) return;
  finish(message, sample);
  out.push_back(std::move(sample));
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
