// Sparkplug B messages to samples: what births told is remembered, so that data messages are understood
// (Sparkplug 3.0.0, sections 4 to 6).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "ext/sources/mqtt/device_name.h"
#include "mqtt/outbound_queue.h"
#include "mqtt/sparkplug.h"

namespace penstock::ext {

// What strangers can make it remember is bounded: nodes, metrics and aliases by number, all of it by bytes. Only a
// birth makes it remember anything of a node; its death makes it forget. Not thread-safe.
class SparkplugDecoder {
 public:
  static constexpr std::size_t kNodesMax = 1'000;
  static constexpr std::size_t kMetricsMax = 100'000;  // of one node, its devices among them
  static constexpr std::size_t kNodeBytesMax = std::size_t{48} << 20U;
  static constexpr std::size_t kBytesMax = std::size_t{128} << 20U;  // of all
  static constexpr std::size_t kUnitBytesMax = 64;                   // the rest of a unit is cut off
  static constexpr std::size_t kLastBytesMax = 64;  // longer values are not given once more when their device dies

  // `device` names samples; none: the device's id, for the node's own metrics the node's.
  explicit SparkplugDecoder(std::optional<DeviceName> device) : device_(std::move(device)) {}

  // Appends to `out`; a sample for each moment of the message, of at most ingest::kSampleFieldsMax fields. A node or
  // device that died gives its last values once more, of quality bad. What must be asked for, a birth that was missed,
  // is appended to `requests`. Fails on what is no Sparkplug, on names that devices may not have, beyond the bounds,
  // and when nothing of a message could be understood.
  Result<void> decode(std::string_view topic, std::string_view payload, base::WallMicros now, base::SteadyTime steady,
                      std::vector<ingest::Sample>& out, std::vector<mqtt::Outgoing>& requests);

  // What is remembered, about.
  std::size_t bytes() const { return bytes_; }

 private:
  struct Known {
    std::string name;
    mqtt::sparkplug::DataType type = mqtt::sparkplug::DataType::unknown;
    std::string unit;
    std::optional<std::uint64_t> alias;
    std::optional<ingest::Value> last;
  };
  using Metrics = std::map<std::string, Known, std::less<>>;
  struct Node {
    bool born = false;
    std::uint64_t birth_number = 0;
    std::uint64_t next = 0;  // the sequence number expected
    std::size_t metrics = 0;
    std::size_t bytes = 0;
    base::SteadyTime ask_after{};
    std::map<std::string, Metrics, std::less<>> devices;  // "" is the node itself
    std::unordered_map<std::uint64_t, Known*> aliases;
  };
  struct Message {
    mqtt::sparkplug::Topic topic;
    mqtt::sparkplug::Payload payload;
    std::string_view topic_text;
    base::WallMicros now;
  };

  Node* find(const Message& message);
  bool in_order(Node& node, const Message& message) const;
  Result<void> learn(Node& node, const Message& message);
  Result<void> add(Node& node, Metrics& metrics, const mqtt::sparkplug::Metric& metric);
  void forget(Node& node, const std::string& device);
  void forget_all(Node& node);
  bool charge(Node& node, std::size_t bytes);
  void emit(Node& node, const Message& message, bool& unknown, std::vector<ingest::Sample>& out);
  void emit_death(const Metrics& metrics, const std::string& device, const Message& message,
                  std::vector<ingest::Sample>& out) const;
  ingest::Sample begin(const Message& message, const std::string& device, base::WallMicros at) const;
  void finish(const Message& message, ingest::Sample& sample) const;

  std::optional<DeviceName> device_;
  std::map<std::string, Node, std::less<>> nodes_;  // by group/node
  std::size_t bytes_ = 0;
};

}  // namespace penstock::ext
