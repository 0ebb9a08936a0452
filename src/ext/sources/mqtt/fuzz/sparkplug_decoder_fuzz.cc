// A node's whole life from a stranger: messages one after the other, each a byte for its kind, a byte for its length
// and its payload.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "ext/sources/mqtt/sparkplug_decoder.h"
#include "ingest/sample_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  constexpr const char* kTopics[] = {
      "spBv1.0/G/NBIRTH/n", "spBv1.0/G/DBIRTH/n/d", "spBv1.0/G/NDATA/n", "spBv1.0/G/DDATA/n/d",
      "spBv1.0/G/NDEATH/n", "spBv1.0/G/DDEATH/n/d", "spBv1.0/STATE/h",   "nonsense"};
  ext::SparkplugDecoder decoder(std::nullopt);
  std::vector<ingest::Sample> samples;
  std::vector<mqtt::Outgoing> requests;
  for (std::size_t at = 0; at + 2 <= size;) {
    const std::size_t length = std::min<std::size_t>(data[at + 1], size - at - 2);
    const std::string_view payload(reinterpret_cast<const char*>(data) + at + 2, length);
    (void)decoder.decode(kTopics[data[at] % 8], payload, 1, {}, samples, requests);
    at += 2 + length;
  }
  for (const ingest::Sample& sample : samples) {
    if (sample.fields.empty() || ingest::to_json(sample).empty()) std::abort();
  }
  return 0;
}
