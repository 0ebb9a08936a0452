// The first byte says in which format the rest is.
#include "ingest/cbor.h"
#include "ingest/payload.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::ingest;
  if (size == 0) return 0;
  const auto format = static_cast<Format>(data[0] % 5);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const SampleDefaults defaults{"d", 1'700'000'000'000'000};
  auto samples = samples_from(format, text, defaults);
  if (!samples) {
    if (samples.error().detail.empty()) __builtin_trap();
    return 0;
  }
  for (const Sample& sample : *samples) {
    std::string bytes;
    append_cbor(bytes, sample);
    if (!value_from_cbor(bytes)) __builtin_trap();
  }
  return 0;
}
