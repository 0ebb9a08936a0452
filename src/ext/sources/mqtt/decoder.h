// One MQTT message to samples.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/sources/mqtt/device_name.h"
#include "ingest/sample.h"
#include "ingest/sample_json.h"

namespace penstock::ext {

// Larger payloads are refused as malformed: no sensor reading is this long.
constexpr std::size_t kMqttPayloadBytesMax = 1 << 20;

enum class MqttFormat { json, text };

class MqttDecoder {
 public:
  // `source` names the device when nothing else does. `field` names the one value of a text payload; empty: the last
  // level of the topic does. `filters` tell which topic level varies.
  MqttDecoder(std::string source, MqttFormat format, std::string field, std::optional<DeviceName> device,
              const std::vector<std::string>& filters);

  // Appends to `out`, all or nothing. Not thread-safe.
  Result<void> decode(std::string_view topic, std::string_view payload, base::WallMicros now,
                      std::vector<ingest::Sample>& out);

 private:
  Result<void> decode_json(std::string_view payload, std::vector<ingest::Sample>& out);
  Result<void> decode_text(std::string_view topic, std::string_view payload, base::WallMicros now,
                           std::vector<ingest::Sample>& out);
  std::string_view varying_level(std::string_view topic) const;

  struct Filter {
    std::string pattern;
    std::optional<std::size_t> level;  // its first wildcard
  };
  std::string source_;
  MqttFormat format_;
  std::string field_;
  std::optional<DeviceName> device_;
  std::vector<Filter> filters_;
  ingest::SampleDefaults defaults_;  // kept for its buffer
};

}  // namespace penstock::ext
