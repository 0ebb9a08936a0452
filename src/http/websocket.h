// A WebSocket connection (RFC 6455) over a stream: messages in both directions with back-pressure, pings, and the close
// handshake. Lives on one loop.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/client_pool.h"
#include "net/stream.h"
#include "rt/loop.h"
#include "rt/task.h"
#include "wire/websocket.h"

namespace penstock::http {

struct WebSocketOptions {
  std::uint64_t message_bytes_max = 16U << 20;                     // as sent and as decoded
  std::uint64_t compressed_bytes_max = wire::kCompressedBytesMax;  // the same of one that comes compressed
  base::Duration ping_after = std::chrono::seconds(30);     // nothing heard for so long: asks whether anybody is there
  base::Duration pong_within = std::chrono::seconds(20);    // nothing heard after that: the other side is gone
  base::Duration idle_timeout = std::chrono::minutes(30);   // no message either way; zero: none is needed
  base::Duration write_timeout = std::chrono::seconds(60);  // the other side takes no bytes for this long
  base::Duration close_timeout = std::chrono::seconds(5);   // for the other side's close frame
  wire::DeflatePolicy deflate;
};

struct WebSocketMessage {
  bool text = true;       // valid UTF-8
  std::string_view data;  // until the next receive()
};

class WebSocket {
 public:
  // `stream` outlives it; `received` is what came behind the handshake already.
  WebSocket(wire::WebSocketRole role, net::Stream& stream, std::string received,
            std::optional<wire::DeflateAgreement> deflate, const WebSocketOptions& options);
  // Over a connection of its own, which ends with it.
  WebSocket(wire::WebSocketRole role, PooledStream connection, std::string received,
            std::optional<wire::DeflateAgreement> deflate, const WebSocketOptions& options);
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  // The next message; nothing when the other side closed properly: close_code() and close_reason() say how. One at a
  // time. While nobody receives, nothing is read, which is the back-pressure. Pings are answered here, and sent when
  // nothing is heard.
  // Errors: protocol_error (a rule was broken; the close frame is sent), data_loss (the connection ended without a
  // close frame), deadline_exceeded (no answer to a ping, or no message for idle_timeout), and what interrupt() was
  // given.
  rt::Task<Result<std::optional<WebSocketMessage>>> receive();
  // Returns when the other side's connection has taken the message. Any number at a time; they go out in order.
  // Errors: deadline_exceeded, unavailable, cancelled (a close frame was sent before).
  rt::Task<Result<void>> send(bool text, std::string_view data);
  // Says goodbye, unless that was done, and waits for the other side's goodbye for close_timeout. Not while somebody
  // receives; nothing is sent afterwards. close_code::kNone and kCut send no code.
  rt::Task<void> close(std::uint16_t code, std::string_view reason);
  // A receive() under way, and every later one, ends with `why`.
  void interrupt(Error why);
  // Ends the connection at once.
  void cut() { stream_.close(); }

  // Of the other side's close frame; close_code::kCut while there was none.
  std::uint16_t close_code() const { return close_code_; }
  const std::string& close_reason() const { return close_reason_; }

  // Messages, and their bytes as their senders wrote them.
  struct Traffic {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };
  const Traffic& received() const { return received_; }
  const Traffic& sent() const { return sent_; }

 private:
  using Received = Result<std::optional<WebSocketMessage>>;
  using Event = std::expected<std::optional<wire::WebSocketEvent>, wire::WebSocketViolation>;
  class Turn;

  Event parse();
  std::optional<WebSocketMessage> message_of(const Event& event);
  rt::Task<Received> receive_slowly(Event event);
  rt::Task<Result<void>> react(wire::WebSocketEvent event);
  rt::Task<Result<Event>> read_some();
  rt::Task<Result<void>> wait();
  rt::Task<Result<void>> write_control();
  rt::Task<Result<void>> send_in_turn(bool text, std::string_view data);
  rt::Task<Result<void>> finish_write(net::Stream::Write write);
  rt::Task<Result<void>> say_close(std::uint16_t code, std::string reason);
  Result<void> sendable() const;
  void end_turn();
  void watch();
  void arm(base::SteadyTime when);
  base::SteadyTime next_look() const;

  PooledStream owned_;
  net::Stream& stream_;
  const WebSocketOptions options_;
  wire::WebSocketReader reader_;
  wire::WebSocketWriter writer_;
  std::string input_;         // received and not yet given to the reader
  std::size_t input_at_ = 0;  // up to here it was
  std::string out_;           // being written
  bool writing_ = false;
  std::deque<std::coroutine_handle<>> turns_;  // who writes next
  int burst_ = 0;                              // messages given out without a pause

  rt::Timer timer_;
  base::SteadyTime heard_at_;
  base::SteadyTime message_at_;
  base::SteadyTime pinged_at_{};
  bool pinged_ = false;   // and nothing heard since
  bool waiting_ = false;  // receive() waits for bytes
  bool ping_due_ = false;
  std::optional<Error> ended_;  // why receive() gives nothing any more

  bool close_sent_ = false;
  bool close_received_ = false;
  std::uint16_t close_code_ = wire::close_code::kCut;
  std::string close_reason_;
  Traffic received_;
  Traffic sent_;
};

}  // namespace penstock::http
