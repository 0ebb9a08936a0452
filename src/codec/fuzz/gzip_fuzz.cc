#include "codec/fuzz/decoder_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::codec::check_decoder(penstock::codec::Coding::gzip, data, size);
  return 0;
}
