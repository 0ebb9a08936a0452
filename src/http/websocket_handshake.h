// The opening handshake of WebSocket over HTTP/1.1 (RFC 6455 section 4), as server and as client.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.h"
#include "http/exchange.h"
#include "http/websocket.h"

namespace penstock::http {

// What a client that wants a WebSocket said.
struct WebSocketOffer {
  std::string accept;                       // the answer to its key
  std::vector<std::string_view> protocols;  // in its order of preference; views of the request
  std::string extensions;

  bool offers(std::string_view protocol) const;
};

// Why there is no WebSocket: the status to answer with.
struct WebSocketRefusal {
  int status = 400;
  Error error;
};

// Reads the request of `exchange`. 426 for what is no such request or of another version, 400 for a malformed one, 403
// for a browser page from elsewhere: a page may connect when it comes from the host it connects to, or its origin
// (scheme://host[:port]) is one of `origins`, or these name "*". Other clients send no Origin.
std::expected<WebSocketOffer, WebSocketRefusal> read_websocket_offer(const Exchange& exchange,
                                                                     std::span<const std::string> origins);

// Answers 101. `protocol`: the one chosen, or empty. `head`: more fields of the answer.
rt::Task<Result<std::unique_ptr<WebSocket>>> accept_websocket(Exchange& exchange, WebSocketOffer offer,
                                                              std::string protocol, ResponseHead head,
                                                              WebSocketOptions options);

// The client's side.
struct WebSocketRequest {
  std::string key;
  std::string protocols;  // a list; empty: none
  WebSocketOptions options;

  WebSocketRequest(std::string protocols_wanted, const WebSocketOptions& as);
  // The fields of the request, each with its line end.
  std::string lines() const;
};

// After `call` was sent with expect_upgrade() and answered 101. protocol_error when the answer is not one to `request`.
Result<std::unique_ptr<WebSocket>> open_websocket(ClientCall& call, const WebSocketRequest& request);
// The subprotocol the server chose; empty: none.
std::string_view chosen_protocol(const ClientCall& call);

}  // namespace penstock::http
