// Text cut at line ends, as NDJSON comes. Pure; accepts any split; LF and CRLF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::wire {

class LineSplitter {
 public:
  // 8 MiB: as for an event of a stream.
  explicit LineSplitter(std::size_t line_bytes_max = 8U << 20) : line_bytes_max_(line_bytes_max) {}

  // False when one line exceeds the limit; nothing more can be read then.
  bool feed(std::string_view bytes);
  // The next complete line that is not blank, without its end; valid until the next feed().
  std::optional<std::string_view> next();
  // After the end: a last line that no line end followed.
  std::optional<std::string_view> last();

 private:
  std::size_t line_bytes_max_;
  std::string buffer_;
  std::size_t begin_ = 0;       // of the line not yet returned
  std::size_t scan_ = 0;        // up to where it is known to have no end
  std::size_t unfinished_ = 0;  // bytes behind the last line end
};

}  // namespace penstock::wire
