// Topic and payload come from strangers: the topic up to the first line break, the payload behind it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "ext/sources/mqtt/decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\n'), input.size());
  const std::string_view topic = input.substr(0, split);
  const std::string_view payload = input.substr(std::min(split + 1, input.size()));
  for (ext::MqttFormat format : {ext::MqttFormat::json, ext::MqttFormat::text}) {
    auto device = ext::DeviceName::parse(topic);
    std::optional<ext::DeviceName> pattern;
    if (device) pattern = *device;
    ext::MqttDecoder decoder("source", format, "", pattern, {"plant/+/v", "$share/g/#"});
    std::vector<ingest::Sample> samples;
    auto decoded = decoder.decode(topic, payload, 1, samples);
    if (!decoded && !samples.empty()) std::abort();  // all or nothing
    for (const ingest::Sample& sample : samples) {
      if (ingest::to_json(sample).empty()) std::abort();
    }
  }
  return 0;
}
