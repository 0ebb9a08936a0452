// The body, and the content type before its first line break, come from strangers.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "ext/sources/http/http_source.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\n'), input.size());
  const std::string_view type = input.substr(0, split);
  const std::string_view body = input.substr(std::min(split + 1, input.size()));
  rt::Loop loop;
  ext::HttpSource source("s", {}, base::system_clock());
  std::size_t emitted = 0;
  const ingest::Emit emit([&](std::vector<ingest::Sample> samples) {
    emitted += samples.size();
    return true;
  });
  if (!source.start(loop, emit)) {
    std::abort();
  }
  for (std::string_view as : {type, std::string_view("application/json"), std::string_view("application/x-ndjson")}) {
    emitted = 0;
    Result<std::size_t> taken = fail(Errc::internal, "");
    source.accept(std::string(as), std::string(body), [&](Result<std::size_t> answer) { taken = std::move(answer); });
    if (emitted != taken.value_or(0)) std::abort();  // what is answered is what was handed on
    if (!taken && taken.error().detail.empty()) std::abort();
  }
  return 0;
}
