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
  // `device` says whom a sample is of. Without it the first wildcard of the filter does, and a payload that names
  // another device is refused; where the filters have no wildcard the payload is believed. `source` names the device
  // when nothing else does. `field` names the one value of a text payload; empty: the last level of the topic does.
  MqttDecoder(std::string source, MqttFormat format, std::string field, std::optional<DeviceName> device,
              const std::vector<std::string>& filters);

  // Appends to `out`, all or nothing. Errors: invalid_argument, out_of_range, permission_denied (a device speaks for
  // another one, or none of the filters stands for the topic). Not thread-safe.
  Result<void> decode(std::string_view topic, std::string_view payload, base::WallMicros now,
                      std::vector<ingest::Sample>& out);

 private:
  Result<void> decode_json(std::string_view payload, std::vector<ingest::Sample>& out);
  Result<void> decode_text(std::string_view topic, std::string_view payload, base::WallMicros now,
                           std::vector<ingest::Sample>& out);
  Result<void> name(std::string_view topic, std::optional<std::string_view> level, ingest::Sample& sample) const;

  struct Filter {
    std::string pattern;
    std::optional<std::size_t> level;  // its first wildcard
  };
  std::string source_;
  MqttFormat format_;
  std::string field_;
  std::optional<DeviceName> device_;
  std::vector<Filter> filters_;
  ingest::SampleDefaults defaults_;
};

}  // namespace penstock::ext
