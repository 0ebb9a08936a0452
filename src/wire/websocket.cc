#include "wire/websocket.h"

#include <openssl/rand.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::wire {
namespace {

// What a connection keeps of a message's memory for the next.
constexpr std::size_t kKeptBytes = 16 * 1024;
// Shorter messages hardly shrink.
constexpr std::size_t kDeflatedBytesMin = 64;
// Longer ones would keep others waiting for a millisecond and more.
constexpr std::size_t kDeflatedBytesMax = 64 * 1024;
constexpr std::size_t kControlBytesMax = 125;

std::unexpected<WebSocketViolation> broken(const char* why, std::uint16_t code = close_code::kProtocolError) {
  return std::unexpected(WebSocketViolation{code, why});
}

FrameContext make_context(const wslay_frame_callbacks& callbacks, void* self) {
  wslay_frame_context* context = nullptr;
  if (wslay_frame_context_init(&context, &callbacks, self) != 0) throw std::bad_alloc();
  return FrameContext(context);
}

void clear(std::string& text) {
  if (text.capacity() > kKeptBytes) text = {};
  text.clear();
}

// The longest start of `text` of at most `size` bytes that ends with a whole character.
std::string_view cut_at_character(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  return text.substr(0, size);
}

}  // namespace

bool is_close_code(unsigned code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != close_code::kNone && code != close_code::kCut) ||
         (code >= 3000 && code <= 4999);
}

void FrameContextDeleter::operator()(wslay_frame_context* context) const { wslay_frame_context_free(context); }

WebSocketReader::WebSocketReader(WebSocketRole role, std::uint64_t message_bytes_max,
                                 std::optional<DeflateAgreement> deflate, std::uint64_t compressed_bytes_max)
    : role_(role),
      message_bytes_max_(message_bytes_max),
      compressed_bytes_max_(std::min(compressed_bytes_max, message_bytes_max)),
      deflate_(deflate.has_value()) {
  if (deflate) {
    inflate_forgets_ =
        role == WebSocketRole::server ? deflate->client_no_context_takeover : deflate->server_no_context_takeover;
  }
  context_ = make_context({.send_callback = nullptr, .recv_callback = &take, .genmask_callback = nullptr}, this);
}

WebSocketReader::~WebSocketReader() = default;

ssize_t WebSocketReader::take(std::uint8_t* to, std::size_t size, int, void* self) {
  std::string_view& source = *static_cast<WebSocketReader*>(self)->source_;
  std::size_t taken = std::min(size, source.size());
  if (taken == 0) return -1;
  std::memcpy(to, source.data(), taken);
  source.remove_prefix(taken);
  return static_cast<ssize_t>(taken);
}

void WebSocketReader::forget_given() {
  if (!std::exchange(given_, false)) return;
  clear(message_);
  clear(inflated_);
}

WebSocketReader::Outcome WebSocketReader::next(std::string_view& input) {
  forget_given();
  source_ = &input;
  while (!closed_) {
    wslay_frame_iocb frame{};
    ssize_t got = wslay_frame_recv(context_.get(), &frame);
    if (got == WSLAY_ERR_WANT_READ) {
      if (input.empty()) return std::nullopt;
      continue;
    }
    if (got < 0) {
      closed_ = true;
      return broken("a frame's length is not written as it must be, or a control frame is too long or fragmented");
    }
    if (!in_frame_) {
      if (const char* why = begin_frame(frame)) {
        closed_ = true;
        return broken(why);
      }
    }
    auto added = add({reinterpret_cast<const char*>(frame.data), frame.data_length});
    Outcome outcome = std::nullopt;
    if (added && frame_left_ == 0) outcome = end_frame();
    if (!added) outcome = std::unexpected(added.error());
    closed_ = closed_ || !outcome;
    if (!outcome || *outcome) return outcome;
  }
  input = {};
  return std::nullopt;
}

// What is wrong with a frame by its head, or null. wslay has checked its length and, of a control frame, that it is
// short and whole.
const char* WebSocketReader::begin_frame(const wslay_frame_iocb& frame) {
  in_frame_ = true;
  opcode_ = frame.opcode;
  fin_ = frame.fin != 0;
  frame_left_ = frame.payload_length;
  if (role_ == WebSocketRole::server && frame.mask == 0) return "a client's frame is not masked";
  if (role_ == WebSocketRole::client && frame.mask != 0) return "a server's frame is masked";
  bool starts = opcode_ == WSLAY_TEXT_FRAME || opcode_ == WSLAY_BINARY_FRAME;
  if (frame.rsv != 0 && (frame.rsv != WSLAY_RSV1_BIT || !deflate_ || !starts))
    return "a reserved bit is set that nothing was agreed about";
  switch (opcode_) {
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
      if (message_open_) return "a message begins before the one before it has ended";
      message_open_ = true;
      text_ = opcode_ == WSLAY_TEXT_FRAME;
      compressed_ = frame.rsv != 0;
      utf8_.reset();
      return nullptr;
    case WSLAY_CONTINUATION_FRAME: return message_open_ ? nullptr : "a fragment belongs to no message";
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG: control_.clear(); return nullptr;
    default: return "the opcode is not defined";
  }
}

std::expected<void, WebSocketViolation> WebSocketReader::add(std::string_view data) {
  if (wslay_is_ctrl_frame(opcode_) != 0) {
    control_ += data;
  } else {
    // By what the head promises, before it is there.
    if (frame_left_ > bytes_max() || message_.size() > bytes_max() - frame_left_)
      return broken("the message is larger than the limit", close_code::kTooBig);
    message_ += data;
    if (text_ && !compressed_ && !utf8_.feed(data)) return broken("the text is not UTF-8", close_code::kInvalidData);
  }
  frame_left_ -= data.size();
  return {};
}

WebSocketReader::Outcome WebSocketReader::end_frame() {
  in_frame_ = false;
  switch (opcode_) {
    case WSLAY_PING: return WebSocketEvent{WebSocketEvent::Kind::ping, control_};
    case WSLAY_PONG: return WebSocketEvent{WebSocketEvent::Kind::pong, control_};
    case WSLAY_CONNECTION_CLOSE: return end_close();
    default: break;
  }
  if (!fin_) return std::nullopt;
  return end_message();
}

WebSocketReader::Outcome WebSocketReader::end_message() {
  message_open_ = false;
  given_ = true;
  std::string_view data = message_;
  if (compressed_) {
    if (!inflate_forgets_ && !inflater_) inflater_ = std::make_unique<MessageInflater>();
    MessageInflater& inflater = inflater_ ? *inflater_ : MessageInflater::of_thread();
    auto decoded = inflater.decode(message_, inflated_, bytes_max(), inflate_forgets_);
    if (!decoded && decoded.error().code == Errc::out_of_range)
      return broken("the message decodes to more than the limit", close_code::kTooBig);
    if (!decoded) return broken("the compressed message is no DEFLATE data", close_code::kInvalidData);
    data = inflated_;
    if (text_ && !utf8_.feed(data)) return broken("the text is not UTF-8", close_code::kInvalidData);
  }
  if (text_ && !utf8_.complete()) return broken("the text ends within a character", close_code::kInvalidData);
  return WebSocketEvent{text_ ? WebSocketEvent::Kind::text : WebSocketEvent::Kind::binary, data};
}

WebSocketReader::Outcome WebSocketReader::end_close() {
  closed_ = true;
  WebSocketEvent event{WebSocketEvent::Kind::close, {}};
  if (control_.empty()) return event;
  if (control_.size() == 1) return broken("the close frame has half a code");
  unsigned code = static_cast<unsigned char>(control_[0]) * 256U + static_cast<unsigned char>(control_[1]);
  if (!is_close_code(code)) return broken("the close frame has a code that may not be sent");
  event.code = static_cast<std::uint16_t>(code);
  event.data = std::string_view(control_).substr(2);
  Utf8Validator reason;
  if (!reason.feed(event.data) || !reason.complete())
    return broken("the reason of the close frame is not UTF-8", close_code::kInvalidData);
  return event;
}

WebSocketWriter::WebSocketWriter(WebSocketRole role, std::optional<DeflateAgreement> deflate) : role_(role) {
  if (deflate) {
    bool server = role == WebSocketRole::server;
    int bits = server ? deflate->server_window_bits : deflate->client_window_bits;
    // zlib makes no streams with a window of 256 bytes; messages may always go out uncompressed.
    deflate_bits_ = bits >= 9 ? bits : 0;
    deflate_forgets_ = server ? deflate->server_no_context_takeover : deflate->client_no_context_takeover;
  }
  context_ = make_context({.send_callback = &put, .recv_callback = nullptr, .genmask_callback = &mask}, this);
}

WebSocketWriter::~WebSocketWriter() = default;

ssize_t WebSocketWriter::put(const std::uint8_t* data, std::size_t size, int, void* self) {
  static_cast<WebSocketWriter*>(self)->out_->append(reinterpret_cast<const char*>(data), size);
  return static_cast<ssize_t>(size);
}

// RFC 6455 section 10.3: unpredictable, so from the system's generator; some at a time, because asking costs more than
// taking.
int WebSocketWriter::mask(std::uint8_t* to, std::size_t size, void*) {
  thread_local std::array<std::uint8_t, 1024> random;
  thread_local std::size_t used = random.size();
  if (random.size() - used < size) {
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) return -1;
    used = 0;
  }
  std::memcpy(to, random.data() + used, size);
  used += size;
  return 0;
}

void WebSocketWriter::frame(std::uint8_t opcode, bool compressed, std::string_view data, std::string& out) {
  out_ = &out;
  wslay_frame_iocb frame{};
  frame.fin = 1;
  frame.rsv = compressed ? WSLAY_RSV1_BIT : WSLAY_RSV_NONE;
  frame.opcode = opcode;
  frame.mask = role_ == WebSocketRole::client ? 1 : 0;
  frame.payload_length = data.size();
  while (true) {
    frame.data = reinterpret_cast<const std::uint8_t*>(data.data());
    frame.data_length = data.size();
    ssize_t sent = wslay_frame_send(context_.get(), &frame);
    if (sent < 0) throw std::runtime_error("no random bytes for the mask of a WebSocket frame");
    data.remove_prefix(static_cast<std::size_t>(sent));
    if (data.empty()) return;
  }
}

void WebSocketWriter::message(bool text, std::string_view data, std::string& out) {
  std::uint8_t opcode = text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME;
  if (deflate_bits_ > 0 && data.size() >= kDeflatedBytesMin && data.size() <= kDeflatedBytesMax) {
    if (!deflate_forgets_ && !deflater_) deflater_ = std::make_unique<MessageDeflater>(deflate_bits_);
    MessageDeflater& deflater = deflater_ ? *deflater_ : MessageDeflater::of_thread(deflate_bits_);
    std::string coded;
    bool done = deflater.encode(data, coded, deflate_forgets_);
    // What the other side has to remember goes out even when it did not shrink.
    if (done && (coded.size() < data.size() || !deflate_forgets_)) return frame(opcode, true, coded, out);
  }
  frame(opcode, false, data, out);
}

void WebSocketWriter::ping(std::string_view data, std::string& out) {
  frame(WSLAY_PING, false, data.substr(0, kControlBytesMax), out);
}

void WebSocketWriter::pong(std::string_view data, std::string& out) {
  frame(WSLAY_PONG, false, data.substr(0, kControlBytesMax), out);
}

void WebSocketWriter::close(std::uint16_t code, std::string_view reason, std::string& out) {
  std::string payload;
  if (is_close_code(code)) {
    payload += static_cast<char>(code >> 8U);
    payload += static_cast<char>(code & 0xFFU);
    payload += cut_at_character(reason, kControlBytesMax - 2);
  }
  frame(WSLAY_CONNECTION_CLOSE, false, payload, out);
}

}  // namespace penstock::wire
