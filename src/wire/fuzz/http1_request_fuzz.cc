#include "wire/fuzz/message_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::wire::check_message(penstock::wire::Http1Parser::Kind::request,
                                std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
