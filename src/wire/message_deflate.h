// permessage-deflate (RFC 7692): what two sides agree on, and the coding of single messages.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::wire {

// As agreed in the handshake (RFC 7692 section 7.1). A window is 2^bits bytes.
struct DeflateAgreement {
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  int server_window_bits = 15;
  int client_window_bits = 15;
};

// What we want.
struct DeflatePolicy {
  bool enabled = true;
  // Both sides remember earlier messages: repetitive small messages shrink to a few bytes, and every connection costs
  // about 300 KiB. Without it, connections share two states per thread.
  bool context_takeover = false;
};

// Servers: the first offer of a Sec-WebSocket-Extensions value that can be accepted. Nothing when there is none, also
// when the value is malformed: an extension that was not understood is not used.
std::optional<DeflateAgreement> accept_deflate(std::string_view offers, const DeflatePolicy& policy);
// The answer's Sec-WebSocket-Extensions.
std::string deflate_answer(const DeflateAgreement& agreement);
// Clients: the offer, and what the server made of it; an empty answer is a no. protocol_error when the server chose
// what was not offered, or cannot be.
std::string deflate_offer(const DeflatePolicy& policy);
Result<std::optional<DeflateAgreement>> read_deflate_answer(std::string_view answer);

// Decodes messages one after the other. Not thread-safe.
class MessageInflater {
 public:
  MessageInflater();
  ~MessageInflater();
  MessageInflater(const MessageInflater&) = delete;
  MessageInflater& operator=(const MessageInflater&) = delete;

  // Appends the message whose whole payload is `coded` to `out`. out_of_range when `out` would get longer than
  // `bytes_max`, invalid_argument when it is no DEFLATE data. `forget`: the next message refers to none before it.
  Result<void> decode(std::string_view coded, std::string& out, std::uint64_t bytes_max, bool forget);
  // For messages that refer to none before them: one per thread.
  static MessageInflater& of_thread();

 private:
  Result<bool> feed(std::string_view coded, std::string& out, std::uint64_t bytes_max);
  bool restart_with_window();
  z_stream stream_{};
  int restarts_ = 0;  // within the message
  bool ready_ = false;
};

class MessageDeflater {
 public:
  // 9 to 15; zlib makes no streams with smaller windows.
  explicit MessageDeflater(int window_bits);
  ~MessageDeflater();
  MessageDeflater(const MessageDeflater&) = delete;
  MessageDeflater& operator=(const MessageDeflater&) = delete;

  // Appends the payload for `message`, which is not empty. False when zlib failed; `out` is as it was then.
  bool encode(std::string_view message, std::string& out, bool forget);
  static MessageDeflater& of_thread(int window_bits);

 private:
  z_stream stream_{};
  bool ready_ = false;
};

}  // namespace penstock::wire
