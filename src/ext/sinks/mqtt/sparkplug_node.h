// What a Sparkplug B edge node says (Sparkplug 3.0.0, section 5): births that name and number every metric, data that
// names them by number, a will. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ext/sinks/mqtt/batch_messages.h"
#include "mqtt/options.h"
#include "mqtt/sparkplug.h"

namespace penstock::ext {

class SparkplugNode {
 public:
  static constexpr std::size_t kDevicesMax = 10'000;
  static constexpr std::size_t kMetricsMax = 1'000;  // of one device

  SparkplugNode(std::string group, std::string node) : group_(std::move(group)), node_(std::move(node)) {}

  // NDEATH of the life that the next births() begin.
  mqtt::Will will();
  // NBIRTH, and DBIRTH of every device seen so far, with its last values; from here on there may be data. `now` in
  // milliseconds.
  std::vector<mqtt::Outgoing> births(std::uint64_t now);
  // The connection is gone: nothing is said before the next births().
  void lost();
  // NDEATH of the life that is, for who goes on purpose (section 6.4.25: before the goodbye, which takes the will
  // back); nothing when there is none. Nothing is said after it before the next births().
  std::optional<mqtt::Outgoing> death();
  // DBIRTH for a device or metric not seen before, DDATA for all else. Nothing while there is no connection.
  std::optional<BatchMessages> encode(const std::vector<ingest::Sample>& samples);

  std::string command_topic() const { return topic(mqtt::sparkplug::Kind::ncmd).text(); }
  // Whether a command asks for births().
  static bool asks_for_birth(std::string_view payload);

 private:
  struct Metric {
    std::uint64_t alias = 0;
    mqtt::sparkplug::DataType type{};
    std::string unit;
    ingest::Value value;
    std::uint64_t at = 0;  // milliseconds
  };
  using Device = std::map<std::string, Metric, std::less<>>;

  mqtt::sparkplug::Topic topic(mqtt::sparkplug::Kind kind, std::string device = {}) const;
  mqtt::Outgoing farewell() const;
  mqtt::Outgoing message(mqtt::sparkplug::Kind kind, const std::string& device, mqtt::sparkplug::Payload payload);
  mqtt::Outgoing birth(const std::string& name, const Device& device, std::uint64_t now);
  bool learn(const ingest::Sample& sample, std::uint64_t at, Device& device, bool& changed);
  mqtt::Outgoing data(const std::string& name, const Device& device, const ingest::Sample& sample, std::uint64_t at,
                      bool historical);

  const std::string group_;
  const std::string node_;
  std::mutex mutex_;  // guards what follows
  bool alive_ = false;
  std::uint64_t birth_number_ = 255;  // of the life that is, or comes next
  std::uint64_t sequence_ = 0;
  std::uint64_t next_alias_ = 1;
  std::map<std::string, Device, std::less<>> devices_;
};

}  // namespace penstock::ext
