// The words of the opening handshake of WebSocket (RFC 6455 section 4).
#pragma once

#include <string>
#include <string_view>

namespace penstock::wire {

constexpr std::string_view kWebSocketVersion = "13";

// A comma-separated list has this token, whatever the case.
bool list_holds(std::string_view list, std::string_view token);
// Sixteen bytes in base64.
bool is_websocket_key(std::string_view key);
std::string new_websocket_key();
// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

}  // namespace penstock::wire
