// A header is told at its last byte and not before, whatever follows it; an error stays one with more bytes.
#include <cstdlib>

#include "wire/proxy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using penstock::wire::read_proxy_header;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto whole = read_proxy_header(bytes);
  std::size_t told = 0;
  bool failed = false;
  for (std::size_t have = 0; have <= size; ++have) {
    auto part = read_proxy_header(bytes.substr(0, have));
    if (failed && part) std::abort();
    failed = failed || !part;
    if (!part || part->size == 0) {
      if (told != 0) std::abort();
      continue;
    }
    if (part->size > have || (told != 0 && part->size != told)) std::abort();
    told = part->size;
    if (part->client.source != read_proxy_header(bytes.substr(0, told))->client.source) std::abort();
  }
  if (whole.has_value() == failed || (whole && whole->size != told)) std::abort();
  return 0;
}
