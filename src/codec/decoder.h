// One content coding undone, bytes in, bytes out. Any split of the input gives the same output.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "codec/coding.h"

namespace penstock::codec {

class Decoder {
 public:
  // Not for Coding::identity.
  static std::unique_ptr<Decoder> make(Coding coding);
  virtual ~Decoder() = default;

  // Takes bytes from the front of `input` (which shrinks) and writes decoded ones to `out`; returns how many. Call it
  // until the input is used up and it writes less than `out` holds. Errors: invalid_argument (malformed, or bytes
  // behind the end), after which it must not be used any more.
  virtual Result<std::size_t> decode(std::string_view& input, std::span<char> out) = 0;
  // True when the input may end here.
  virtual bool complete() const = 0;
};

}  // namespace penstock::codec
