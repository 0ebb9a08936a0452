#include "wire/chunk_decoder.h"

#include <algorithm>

namespace penstock::wire {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(char c) {
  auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

}  // namespace

ChunkDecoder::State ChunkDecoder::feed(std::string_view& input, std::string& body) {
  while (!input.empty() && step_ != Step::done && step_ != Step::malformed) {
    if (step_ == Step::data) {
      auto take_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
      body.append(input.substr(0, take_bytes));
      input.remove_prefix(take_bytes);
      left_ -= take_bytes;
      if (left_ == 0) step_ = Step::data_cr;
      continue;
    }
    step_ = take(input.front());
    if (step_ != Step::malformed) input.remove_prefix(1);
  }
  if (step_ == Step::malformed) return State::malformed;
  return step_ == Step::done ? State::done : State::more;
}

ChunkDecoder::Step ChunkDecoder::take(char c) {
  if (++overhead_ > kOverheadBytesMax) return fail("chunk extensions or trailers without end");
  switch (step_) {
    case Step::size_first:
    case Step::size:
    case Step::extension: return take_size(c);
    case Step::size_lf:
      if (c != '\n') return fail("a chunk size line that does not end in CRLF");
      return left_ == 0 ? Step::trailer_start : Step::data;
    case Step::data_cr: return c == '\r' ? Step::data_lf : fail("chunk data longer than its size");
    case Step::data_lf: overhead_ = 0; return c == '\n' ? Step::size_first : fail("chunk data not followed by CRLF");
    case Step::trailer_start:
    case Step::trailer:
    case Step::trailer_lf: return take_trailer(c);
    case Step::last_lf: return c == '\n' ? Step::done : fail("the last line of the body does not end in CRLF");
    case Step::data:
    case Step::done:
    case Step::malformed: break;
  }
  return fail("bytes after the end of the body");
}

ChunkDecoder::Step ChunkDecoder::take_size(char c) {
  if (step_ == Step::extension) {
    if (c == '\r') return Step::size_lf;
    return is_control(c) ? fail("a control character in a chunk extension") : Step::extension;
  }
  if (step_ == Step::size_first) left_ = 0;
  int digit = hex_digit(c);
  if (digit >= 0) {
    // 2^60: more than any limit allows, and one more digit still fits.
    if (left_ >> 56U != 0) return fail("a chunk size beyond every limit");
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    return Step::size;
  }
  if (step_ == Step::size_first) return fail("a chunk size that is not hexadecimal");
  if (c == '\r') return Step::size_lf;
  if (c == ';') return Step::extension;
  return fail("a chunk size that is not hexadecimal");
}

ChunkDecoder::Step ChunkDecoder::take_trailer(char c) {
  if (step_ == Step::trailer_lf) return c == '\n' ? Step::trailer_start : fail("a trailer that does not end in CRLF");
  if (step_ == Step::trailer_start) {
    if (c == '\r') return Step::last_lf;
    if (c == ' ' || c == '\t' || c == ':') return fail("a trailer without a name");
  }
  if (c == '\r') return Step::trailer_lf;
  return is_control(c) ? fail("a control character in a trailer") : Step::trailer;
}

}  // namespace penstock::wire
