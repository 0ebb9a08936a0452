// Any bytes a device sends are refused with a reason or become samples that can be written and read again.
#include "ingest/csv.h"
#include "ingest/sample_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::ingest;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  SampleDefaults defaults{"d", 1'700'000'000'000'000};
  auto samples = samples_from_json(text, defaults);
  if (samples) {
    for (const Sample& sample : *samples) {
      if (!samples_from_json(to_json(sample), defaults)) __builtin_trap();
    }
  } else if (samples.error().detail.empty()) {
    __builtin_trap();
  }
  (void)samples_from_csv(text, defaults);
  (void)parse_time(text);
  return 0;
}
