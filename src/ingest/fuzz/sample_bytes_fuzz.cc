// Any bytes found on a disk are refused with a reason or become a sample that is written as it was read.
#include "ingest/sample_bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::ingest;
  auto sample = sample_from_bytes({reinterpret_cast<const char*>(data), size});
  if (!sample) {
    if (sample.error().detail.empty()) __builtin_trap();
    return 0;
  }
  // Lengths may be written in more bytes than they need, so the bytes may differ once, but never twice.
  const std::string bytes = to_bytes(*sample);
  auto again = sample_from_bytes(bytes);
  if (!again || to_bytes(*again) != bytes) __builtin_trap();
  return 0;
}
