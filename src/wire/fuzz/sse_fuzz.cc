// Events cut from whole input and from single bytes are the same, and their raw bytes add up to the input.
#include <cstdlib>

#include "wire/sse.h"

namespace {

std::string run(std::string_view bytes, std::size_t step, std::string& raw) {
  penstock::wire::SseSplitter splitter;
  std::string events;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    splitter.feed(bytes.substr(i, step));
    while (auto event = splitter.next()) {
      raw += event->raw;
      events += std::string(event->name) + "\x01" + std::string(event->data) + "\x02";
    }
  }
  raw += splitter.rest();
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string raw_whole;
  std::string raw_split;
  if (run(bytes, size + 1, raw_whole) != run(bytes, 1, raw_split)) std::abort();
  if (raw_whole != bytes || raw_split != bytes) std::abort();
  return 0;
}
