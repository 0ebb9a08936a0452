// WebSocket frames (RFC 6455 section 5) with permessage-deflate (RFC 7692): bytes in, messages out, and the other way
// round. Pure: holds no socket and no clock. Accepts input in pieces of any size and yields the same events for any
// split. Frames are taken apart and put together by libwslay; what messages are made of is decided here.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "wire/message_deflate.h"
#include "wire/utf8.h"

struct wslay_frame_context;
struct wslay_frame_iocb;

namespace penstock::wire {

enum class WebSocketRole { server, client };

// RFC 6455 section 7.4.1, as far as they are used here.
namespace close_code {
constexpr std::uint16_t kNormal = 1000;
constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kUnsupported = 1003;
constexpr std::uint16_t kNone = 1005;  // a close frame without a code; never on the wire
constexpr std::uint16_t kCut = 1006;   // no close frame at all; never on the wire
constexpr std::uint16_t kInvalidData = 1007;
constexpr std::uint16_t kPolicy = 1008;
constexpr std::uint16_t kTooBig = 1009;
constexpr std::uint16_t kInternal = 1011;
constexpr std::uint16_t kTryLater = 1013;
}  // namespace close_code

// May stand in a close frame.
bool is_close_code(unsigned code);

struct WebSocketEvent {
  enum class Kind : std::uint8_t { text, binary, ping, pong, close };
  Kind kind = Kind::text;
  std::string_view data;                   // the whole message, or what the control frame carries, or the reason
  std::uint16_t code = close_code::kNone;  // of a close
};

// The other side broke a rule: close with `code`. Reading cannot go on after it.
struct WebSocketViolation {
  std::uint16_t code = close_code::kProtocolError;
  const char* why = "";
};

struct FrameContextDeleter {
  void operator()(wslay_frame_context* context) const;
};
using FrameContext = std::unique_ptr<wslay_frame_context, FrameContextDeleter>;

// Decoding keeps everybody else waiting, at some 2 ms for each of these; most compressed messages are texts of a few
// KiB.
constexpr std::uint64_t kCompressedBytesMax = 1U << 20;

class WebSocketReader {
 public:
  // `role` is ours. A message may have `message_bytes_max` bytes, and one that comes compressed no more than
  // `compressed_bytes_max` either, as sent and as decoded.
  WebSocketReader(WebSocketRole role, std::uint64_t message_bytes_max, std::optional<DeflateAgreement> deflate,
                  std::uint64_t compressed_bytes_max = kCompressedBytesMax);
  ~WebSocketReader();
  WebSocketReader(const WebSocketReader&) = delete;
  WebSocketReader& operator=(const WebSocketReader&) = delete;

  // Takes bytes off `input` until an event is complete; nothing when more bytes are needed, and all were taken then.
  // Bytes that were taken may belong to later events: call again with what is left, also with nothing, until there are
  // no more. What an event refers to is valid until the next call. After a close there are no more events.
  std::expected<std::optional<WebSocketEvent>, WebSocketViolation> next(std::string_view& input);

 private:
  using Outcome = std::expected<std::optional<WebSocketEvent>, WebSocketViolation>;
  static ssize_t take(std::uint8_t* to, std::size_t size, int flags, void* self);
  const char* begin_frame(const wslay_frame_iocb& frame);
  std::expected<void, WebSocketViolation> add(std::string_view data);
  Outcome end_frame();
  Outcome end_message();
  Outcome end_close();
  void forget_given();

  const WebSocketRole role_;
  std::uint64_t bytes_max() const { return compressed_ ? compressed_bytes_max_ : message_bytes_max_; }

  const std::uint64_t message_bytes_max_;
  const std::uint64_t compressed_bytes_max_;  // no more than that
  const bool deflate_;
  bool inflate_forgets_ = true;
  std::unique_ptr<MessageInflater> inflater_;  // of its own when messages refer to earlier ones
  FrameContext context_;
  std::string_view* source_ = nullptr;
  Utf8Validator utf8_;
  std::string message_;   // of the fragments so far, as they came
  std::string inflated_;  // the message given out, when it came compressed
  std::string control_;
  std::uint64_t frame_left_ = 0;
  std::uint8_t opcode_ = 0;  // of the frame
  bool in_frame_ = false;
  bool fin_ = false;
  bool message_open_ = false;
  bool text_ = false;
  bool compressed_ = false;
  bool given_ = false;  // message_ or inflated_ was given out
  bool closed_ = false;
};

// Writes whole frames behind what is in `out`. Of the client's role: masked with unpredictable bytes.
class WebSocketWriter {
 public:
  WebSocketWriter(WebSocketRole role, std::optional<DeflateAgreement> deflate);
  ~WebSocketWriter();
  WebSocketWriter(const WebSocketWriter&) = delete;
  WebSocketWriter& operator=(const WebSocketWriter&) = delete;

  // One message in one frame. Text must be valid UTF-8. What is longer than 64 KiB goes out as it is: compressing it
  // keeps everybody else waiting.
  void message(bool text, std::string_view data, std::string& out);
  // At most 125 bytes; the rest is cut off.
  void ping(std::string_view data, std::string& out);
  void pong(std::string_view data, std::string& out);
  // A code that may not be on the wire makes a close frame without one. Reasons are cut at 123 bytes, not inside of a
  // character.
  void close(std::uint16_t code, std::string_view reason, std::string& out);

 private:
  void frame(std::uint8_t opcode, bool compressed, std::string_view data, std::string& out);
  static ssize_t put(const std::uint8_t* data, std::size_t size, int flags, void* self);
  static int mask(std::uint8_t* to, std::size_t size, void* self);

  const WebSocketRole role_;
  int deflate_bits_ = 0;  // 0: messages go out as they are
  bool deflate_forgets_ = true;
  std::unique_ptr<MessageDeflater> deflater_;  // of its own when messages refer to earlier ones
  FrameContext context_;
  std::string* out_ = nullptr;
};

}  // namespace penstock::wire
