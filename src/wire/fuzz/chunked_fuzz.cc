// A chunked body decoded whole and in two pieces gives the same data, trailers and verdict, and takes the same bytes.
#include <cstdlib>

#include "wire/chunk_decoder.h"

namespace {

using penstock::wire::ChunkDecoder;

struct Outcome {
  ChunkDecoder::State state = ChunkDecoder::State::more;
  std::size_t used = 0;
  std::string text;

  bool operator==(const Outcome&) const = default;
};

Outcome decode(std::string_view bytes, std::size_t cut) {
  ChunkDecoder decoder;
  decoder.limit(1000);
  Outcome outcome;
  for (std::string_view part : {bytes.substr(0, cut), bytes.substr(cut)}) {
    std::size_t size = part.size();
    while (!part.empty() && outcome.state == ChunkDecoder::State::more) {
      std::string_view piece;
      outcome.state = decoder.next(part, piece);
      outcome.text += piece;
    }
    outcome.used += size - part.size();
  }
  for (std::size_t i = 0; i < decoder.trailers().size(); ++i)
    outcome.text += std::string(decoder.trailers().at(i).name) + ":" + std::string(decoder.trailers().at(i).value);
  // Where in a wrong line the decoder noticed depends on what it had of it.
  if (outcome.state == ChunkDecoder::State::malformed) outcome.used = 0;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Outcome whole = decode(bytes, size);
  std::size_t step = size / 64 + 1;
  for (std::size_t cut = 0; cut < size; cut += step) {
    if (decode(bytes, cut) != whole) std::abort();
  }
  return 0;
}
