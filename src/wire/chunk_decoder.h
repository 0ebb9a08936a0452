// Decodes an HTTP/1.1 chunked body (RFC 9112 section 7.1). Pure: holds no socket, clock or allocator but for trailers.
// Accepts input in pieces of any size and yields the same bytes for any split. Data is never copied: a piece is a view
// into the input.
// Strict: line ends are CRLF, sizes are plain hexadecimal digits without space around them, extensions are read by
// their grammar and dropped, trailers are validated as header fields are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/fields.h"

namespace penstock::wire {

// False for what must not come behind a body, because it would come after the decision it belongs to (RFC 9110 section
// 6.5.1). Framing fields are not asked about: they make a message malformed.
bool may_trail(FieldId id, std::string_view name);

class ChunkDecoder {
 public:
  // Of all trailers together; nobody needs more.
  static constexpr std::size_t kTrailerBytesMax = 8 * 1024;
  // Of all size lines together beyond their digits: extensions must not cost more than the body they come with.
  static constexpr std::size_t kExtensionBytesMax = 16 * 1024;

  enum class State { more, done, malformed, too_large };

  // Ready for another body.
  void reset();
  // Of the data of all chunks. A chunk that goes beyond is refused by its size, before its data; also one that began
  // under a larger limit.
  void limit(std::uint64_t bytes_max) {
    bytes_max_ = bytes_max;
    if (declared_ > bytes_max && !over()) step_ = Step::too_large;
  }
  // The sizes of all chunks so far.
  std::uint64_t declared() const { return declared_; }

  // Takes bytes from the front of `input` (which shrinks) and gives at most one piece of data, which is a part of them.
  // Framing behind the piece is taken as well, so that the end of the body is seen with the last piece.
  State next(std::string_view& input, std::string_view& piece);

  // After malformed.
  const char* defect() const { return defect_; }
  // Complete once done. Fields about routing, authentication and how content is to be understood are left out
  // (RFC 9110 section 6.5.1); fields about framing make the body malformed.
  const Fields& trailers() const { return trailers_; }

 private:
  enum class Step {
    size_first,
    size,
    extension_name_first,
    extension_name,
    extension_value_first,
    extension_token,
    extension_quoted,
    extension_escape,
    extension_after,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer,
    done,
    malformed,
    too_large
  };
  Step fail(const char* why) {
    defect_ = why;
    return Step::malformed;
  }
  Step take(char c);
  Step take_size(char c);
  Step take_extension(char c);
  Step take_size_end();
  void take_trailers(std::string_view& input);
  Step take_trailer_line(std::string_view line);
  bool over() const { return step_ == Step::done || step_ == Step::malformed || step_ == Step::too_large; }

  Step step_ = Step::size_first;
  std::uint64_t bytes_max_ = UINT64_MAX;
  std::uint64_t declared_ = 0;       // sizes of all chunks so far
  std::uint64_t left_ = 0;           // data of the current chunk still to come; while reading its size, the size so far
  std::size_t size_digits_ = 0;      // of the current chunk's size
  std::size_t extension_bytes_ = 0;  // of all size lines
  std::size_t trailer_bytes_ = 0;
  std::string line_;  // a trailer line that is not complete yet
  Fields trailers_;
  const char* defect_ = "";
};

}  // namespace penstock::wire
