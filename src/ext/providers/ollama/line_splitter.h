// NDJSON: one JSON text a line. Pure; accepts any split.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::ext {

class LineSplitter {
 public:
  // 8 MiB: the largest line a provider sends is an image in base64.
  explicit LineSplitter(std::size_t line_bytes_max = 8U << 20) : line_bytes_max_(line_bytes_max) {}

  // Calls `take(line)`, a Result<void>, for every line that is complete now, without its end; empty ones are left out.
  // A line's view is valid during its call only. The first error ends it. protocol_error: a line is too long.
  template <class Take>
  Result<void> feed(std::string_view bytes, Take take) {
    while (!bytes.empty()) {
      std::size_t end = bytes.find('\n');
      if (held_.size() + std::min(end, bytes.size()) > line_bytes_max_)
        return fail(Errc::protocol_error, "the provider sent a line larger than 8 MiB");
      if (end == std::string_view::npos) {
        held_ += bytes;
        return {};
      }
      std::string_view line = bytes.substr(0, end);
      bytes.remove_prefix(end + 1);
      Result<void> taken;
      if (held_.empty()) {
        taken = give(line, take);
      } else {
        held_ += line;
        taken = give(held_, take);
        held_.clear();
      }
      if (!taken) return taken;
    }
    return {};
  }
  // The same for a last line without an end.
  template <class Take>
  Result<void> finish(Take take) {
    Result<void> taken = give(held_, take);
    held_.clear();
    return taken;
  }

 private:
  template <class Take>
  static Result<void> give(std::string_view line, Take& take) {
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) return {};
    return take(line);
  }

  std::size_t line_bytes_max_;
  std::string held_;  // of a line that is not complete
};

}  // namespace penstock::ext
