// What every decoder's fuzz target checks: the whole input and single bytes decode to the same bytes or fail alike, and
// neither grows beyond the limits.
#pragma once

#include <cstdlib>

#include "codec/body_decoder.h"

namespace penstock::codec {

struct Outcome {
  std::string bytes;
  bool fine = false;
};

inline Outcome decode_in_steps(Coding coding, std::string_view input, std::size_t step) {
  // Any ratio, so that where the input is cut does not decide; memory is bounded all the same.
  std::array codings{coding};
  BodyDecoder decoder(codings, {.bytes_max = 4U << 20, .ratio_max = UINT64_MAX});
  Outcome outcome;
  for (std::size_t at = 0; at < input.size(); at += step) {
    if (!decoder.feed(input.substr(at, step), outcome.bytes)) return outcome;
  }
  outcome.fine = decoder.finish().has_value();
  return outcome;
}

inline void check_decoder(Coding coding, const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Outcome whole = decode_in_steps(coding, input, size + 1);
  Outcome split = decode_in_steps(coding, input, 1);
  if (whole.fine != split.fine) std::abort();
  if (whole.fine && whole.bytes != split.bytes) std::abort();
  std::array codings{coding};
  auto limited = decode_body(codings, input, {});
  if (limited && limited->size() > std::max<std::size_t>(1U << 20, 200 * size)) std::abort();
  if (limited && whole.fine && *limited != whole.bytes) std::abort();
}

}  // namespace penstock::codec
