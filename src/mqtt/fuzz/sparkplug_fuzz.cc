// Payloads come from strangers. What is decoded can be encoded, and is the same again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "mqtt/sparkplug.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::mqtt::sparkplug;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  auto payload = decode(input);
  if (!payload) return 0;
  for (const Metric& metric : payload->metrics) {
    for (std::uint32_t type = 0; type < 40; ++type) (void)value_of(metric, static_cast<DataType>(type));
  }
  const std::string once = encode(*payload);
  auto again = decode(once);
  // A metric that says nothing is not written.
  if (!again || again->metrics.size() > payload->metrics.size() || encode(*again) != once) std::abort();
  if (auto topic = parse_topic(input); topic && topic->text() != input) std::abort();
  return 0;
}
