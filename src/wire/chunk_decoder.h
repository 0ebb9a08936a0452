// Decodes an HTTP/1.1 chunked body (RFC 9112 section 7.1). Pure: holds no socket, clock or allocator.
// Accepts input in pieces of any size and yields the same bytes for any split.
// Strict: line ends are CRLF, sizes are plain hexadecimal digits, extensions and trailers are read and dropped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::wire {

class ChunkDecoder {
 public:
  // Size lines and trailers together; nobody's extensions need more.
  static constexpr std::size_t kOverheadBytesMax = 8 * 1024;

  enum class State { more, done, malformed };

  // Takes bytes from the front of `input` (which shrinks) and appends decoded ones to `body`, until the body is done,
  // malformed, or the input used up.
  State feed(std::string_view& input, std::string& body);
  const char* defect() const { return defect_; }

 private:
  enum class Step {
    size_first,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer,
    trailer_lf,
    last_lf,
    done,
    malformed
  };
  Step fail(const char* why) {
    defect_ = why;
    return Step::malformed;
  }
  Step take(char c);
  Step take_size(char c);
  Step take_trailer(char c);

  Step step_ = Step::size_first;
  std::uint64_t left_ = 0;    // bytes of the current chunk still to come; while reading its size, the size so far
  std::size_t overhead_ = 0;  // bytes of the current size line, or of all trailers
  const char* defect_ = "";
};

}  // namespace penstock::wire
