#include "wire/lines.h"

namespace penstock::wire {
namespace {

std::string_view trimmed(std::string_view line) {
  std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
}

}  // namespace

bool LineSplitter::feed(std::string_view bytes) {
  buffer_.erase(0, begin_);
  scan_ -= begin_;
  begin_ = 0;
  buffer_ += bytes;
  std::size_t end = bytes.rfind('\n');
  unfinished_ = end == std::string_view::npos ? unfinished_ + bytes.size() : bytes.size() - end - 1;
  return unfinished_ <= line_bytes_max_;
}

std::optional<std::string_view> LineSplitter::next() {
  while (true) {
    std::size_t end = buffer_.find('\n', scan_);
    if (end == std::string::npos) {
      scan_ = buffer_.size();
      return std::nullopt;
    }
    std::string_view line = trimmed(std::string_view(buffer_).substr(begin_, end - begin_));
    begin_ = scan_ = end + 1;
    if (!line.empty()) return line;
  }
}

std::optional<std::string_view> LineSplitter::last() {
  std::string_view line = trimmed(std::string_view(buffer_).substr(begin_));
  begin_ = scan_ = buffer_.size();
  if (line.empty()) return std::nullopt;
  return line;
}

}  // namespace penstock::wire
