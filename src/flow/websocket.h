// Standing WebSocket connections of calls: who may have one, how many, and what passes over them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/websocket_handshake.h"
#include "obs/metrics.h"

namespace penstock::flow {

struct Call;
class Key;
struct WebSocketFigures;

// As configured; part of the policy.
struct WebSocketPolicy {
  http::WebSocketOptions options;
  std::vector<std::string> origins;  // pages that may connect beside those of this host; "*": all
  std::int64_t per_key = 100;        // open at once; callers without keys count together
};

// What the request asked for; nothing after a refusal (which was answered).
rt::Task<std::optional<http::WebSocketOffer>> read_websocket_offer(Call& call);

// One of the connections a key may have; given back when destroyed.
class WebSocketPlace {
 public:
  // resource_exhausted when all are taken.
  static Result<WebSocketPlace> take(Call& call);
  WebSocketPlace(WebSocketPlace&& other) noexcept;
  WebSocketPlace& operator=(WebSocketPlace&&) = delete;
  ~WebSocketPlace();

 private:
  explicit WebSocketPlace(std::shared_ptr<std::atomic<std::int32_t>> open) : open_(std::move(open)) {}
  std::shared_ptr<std::atomic<std::int32_t>> open_;  // of the key
};

// The connection to the caller, counted while it lives. Draining interrupts its socket with `unavailable`. What passed
// over it stands in the call's event when it ends.
class WebSocketSession {
 public:
  // Answers 101. An error when the caller left.
  static rt::Task<Result<std::unique_ptr<WebSocketSession>>> accept(Call& call, http::WebSocketOffer offer,
                                                                    std::string protocol);
  ~WebSocketSession();
  WebSocketSession(const WebSocketSession&) = delete;
  WebSocketSession& operator=(const WebSocketSession&) = delete;

  http::WebSocket& socket() { return *socket_; }
  // Brings the figures up to date; after every message, or when there is time.
  void tally();
  // Ends the conversation with a close frame, unless that was done.
  rt::Task<void> close(std::uint16_t code, std::string reason);
  // Tokens of sound in what was used.
  void count_audio(std::int64_t input_tokens, std::int64_t output_tokens);

 private:
  WebSocketSession(Call& call, std::unique_ptr<http::WebSocket> socket);
  Call& call_;
  std::unique_ptr<http::WebSocket> socket_;
  WebSocketFigures& figures_;
  base::SteadyTime since_;
  http::WebSocket::Traffic in_;  // already counted
  http::WebSocket::Traffic out_;
  std::uint16_t code_ = wire::close_code::kCut;
};

// penstock_websocket_* of the whole process.
void collect_websockets(obs::MetricWriter& writer);

}  // namespace penstock::flow
