// Server-sent events (WHATWG HTML, section 9.2.6), cut at event borders so that each can be forwarded as the bytes it
// came in. Pure; accepts any split; CRLF, LF and CR line ends.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::wire {

struct SseEvent {
  std::string_view raw;   // every byte of the event with the empty line that ends it
  std::string_view data;  // its data lines joined by \n, without the field name
  std::string_view name;  // its last event field, empty when none
};

class SseSplitter {
 public:
  // 8 MiB: the largest single event a provider sends is an image in base64.
  explicit SseSplitter(std::size_t event_bytes_max = 8U << 20) : event_bytes_max_(event_bytes_max) {}

  // False when one event exceeds the limit; nothing more can be read then.
  bool feed(std::string_view bytes);
  // The next complete event; its views stay valid until the next feed().
  std::optional<SseEvent> next();
  // After the end of the stream: what stands behind the last complete event, if there is data in it. Some servers leave
  // the final empty line out, some the line end before it as well: data that close every bracket are taken even so.
  std::optional<SseEvent> last();
  // Bytes after the last complete event.
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }

 private:
  void read_fields(std::string_view raw, SseEvent& event);
  std::size_t event_bytes_max_;
  std::string buffer_;
  std::size_t begin_ = 0;  // start of the event not yet returned
  std::size_t scan_ = 0;   // start of the first line that is not complete
  std::size_t seen_ = 0;   // up to where that line is known to have no end
  std::string joined_;
};

}  // namespace penstock::wire
