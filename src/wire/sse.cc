#include "wire/sse.h"

#include "wire/chars.h"

namespace penstock::wire {
namespace {

// Whether a line without an end was cut nowhere within: JSON, or an end mark like [DONE], that closes what it opened.
bool closes_every_bracket(std::string_view data) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < data.size(); ++i) {
    char c = data[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string) {
      depth += (c == '{' || c == '[') ? 1 : (c == '}' || c == ']') ? -1 : 0;
    }
  }
  return depth == 0 && !in_string && (data.ends_with('}') || data.ends_with(']'));
}

}  // namespace

bool SseSplitter::feed(std::string_view bytes) {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scan_ -= begin_;
    seen_ -= std::min(seen_, begin_);
    begin_ = 0;
  }
  buffer_ += bytes;
  return buffer_.size() <= event_bytes_max_;
}

std::optional<SseEvent> SseSplitter::next() {
  // An event ends at an empty line: two line ends in a row, each CRLF, LF or CR.
  std::size_t i = scan_;
  while (true) {
    std::size_t line_end = find_line_end(buffer_, std::max(i, seen_));
    if (line_end == buffer_.size()) break;
    // A CR at the very end may be half of a CRLF: wait for the next byte.
    if (buffer_[line_end] == '\r' && line_end + 1 == buffer_.size()) break;
    bool crlf = buffer_[line_end] == '\r' && buffer_[line_end + 1] == '\n';
    std::size_t after = line_end + (crlf ? 2 : 1);
    if (line_end == i) {
      SseEvent event;
      event.raw = std::string_view(buffer_).substr(begin_, after - begin_);
      begin_ = scan_ = after;
      read_fields(event.raw, event);
      return event;
    }
    i = after;
    scan_ = after;
  }
  // A line that is not complete yet is not searched again.
  seen_ = buffer_.ends_with('\r') ? buffer_.size() - 1 : buffer_.size();
  return std::nullopt;
}

std::optional<SseEvent> SseSplitter::last() {
  if (rest().empty()) return std::nullopt;
  std::size_t size = buffer_.size();
  bool line_ended = buffer_.ends_with('\n') || buffer_.ends_with('\r');
  // The missing line ends make it an event like any other for whoever it is forwarded to.
  buffer_ += line_ended ? "\n" : "\n\n";
  SseEvent event;
  event.raw = rest();
  read_fields(event.raw, event);
  if (!line_ended && !closes_every_bracket(event.data)) {
    buffer_.resize(size);
    return std::nullopt;
  }
  begin_ = scan_ = buffer_.size();
  if (event.data.empty()) return std::nullopt;
  return event;
}

void SseSplitter::read_fields(std::string_view raw, SseEvent& event) {
  int data_lines = 0;
  joined_.clear();
  while (!raw.empty()) {
    std::size_t end = find_line_end(raw, 0);
    std::string_view line = raw.substr(0, end);
    raw.remove_prefix(std::min(end + 1, raw.size()));
    std::size_t colon = line.find(':');
    std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "event") event.name = value;
    if (field != "data") continue;
    // The usual event has one data line, which needs no copy.
    if (++data_lines == 1) {
      event.data = value;
      continue;
    }
    if (data_lines == 2) joined_ = event.data;
    joined_ += '\n';
    joined_ += value;
  }
  if (data_lines > 1) event.data = joined_;
}

}  // namespace penstock::wire
