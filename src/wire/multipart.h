// multipart/form-data (RFC 7578, RFC 2046 section 5.1) read as it streams by: part after part, without holding them.
// Pure; any split of the input gives the same events. Strict where two readers could see different forms: line ends are
// CRLF, every part names its field once and in one spelling, nothing stands before the first boundary or behind the
// closing one.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace penstock::wire {

// What a reader hears about. Offsets count bytes of the body from its start.
class MultipartListener {
 public:
  virtual ~MultipartListener() = default;
  // A part begins; its content starts at `offset`. `name` is the form's field, `file` what the client calls its file.
  virtual void on_part(std::string_view name, std::string_view file, std::uint64_t offset) = 0;
  // Some of the content of the part begun last, in order.
  virtual void on_content(std::string_view bytes) = 0;
  // Its content ends before `offset`.
  virtual void on_part_end(std::uint64_t offset) = 0;
};

class MultipartReader {
 public:
  static constexpr std::size_t kPartHeadBytesMax = 8 * 1024;
  static constexpr std::size_t kPartsMax = 1024;

  MultipartReader(std::string_view boundary, MultipartListener& listener);

  // Takes all of `bytes`. The error says what is wrong with the form; no use after it.
  std::expected<void, std::string> feed(std::string_view bytes);
  // The form may end here: its closing boundary was seen.
  bool done() const { return step_ == Step::epilogue && window_.size() != 1; }

 private:
  enum class Step { preamble, delimiter, part_head, content, epilogue };
  using Outcome = std::expected<bool, std::string>;  // false: more bytes are needed
  Outcome advance();
  Outcome skip_preamble();
  Outcome read_delimiter();
  Outcome read_part_head();
  Outcome read_content();
  Outcome read_epilogue();
  void drop(std::size_t bytes);

  std::string delimiter_;  // CRLF, two dashes, the boundary
  MultipartListener& listener_;
  Step step_ = Step::preamble;
  std::string window_;    // received and not yet understood
  std::uint64_t at_ = 0;  // offset of the window
  std::size_t parts_ = 0;
};

// The boundary of a Content-Type value `multipart/form-data; boundary=...`; empty when it is none, or when it does not
// name exactly one of 1 to 70 characters (RFC 2046 section 5.1.1).
std::string form_boundary(std::string_view content_type);
// The value that says no more than this boundary, spelled in one way.
std::string form_content_type(std::string_view boundary);

}  // namespace penstock::wire
