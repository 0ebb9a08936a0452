// What the hot path tells the rest of the house about one finished request: one flat record, pushed into a ring of its
// core, from which the observer thread makes the metrics, the access log, the usage rows and the console.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/clock.h"

namespace penstock::obs {

// Who or what made a request fail. A closed list: it is a metric label.
enum class ErrorType : std::uint8_t {
  none,
  caller_bad_request,
  caller_auth,
  caller_forbidden,
  caller_not_found,
  caller_too_large,
  caller_timeout,
  caller_cancelled,
  policy_limit,
  policy_budget,
  policy_guardrail,
  provider_connect,
  provider_timeout,
  provider_4xx,
  provider_429,
  provider_5xx,
  provider_malformed,
  provider_cut,
  penstock_overload,
  penstock_internal,
  other,
};
std::string_view to_string(ErrorType type);

// Text that lives as long as the process: names from configuration, never a stranger's words. Equal texts are the same
// object, so that labels compare by address.
struct Label {
  const char* data;
  std::uint32_t size;
  operator std::string_view() const { return {data, size}; }  // NOLINT(google-explicit-constructor): it is a view
  std::string_view view() const { return {data, size}; }
};

// Takes a lock: call it when configuration is read, not per request.
Label intern(std::string_view text);

// A bounded copy of a stranger's words, cut at its size.
template <std::size_t N>
struct ShortText {
  std::array<char, N> bytes;
  std::uint8_t size;
  void assign(std::string_view text) {
    size = static_cast<std::uint8_t>(text.size() < N ? text.size() : N);
    text.copy(bytes.data(), size);
  }
  std::string_view view() const { return {bytes.data(), size}; }
};

// Who asked: the address alone.
struct ClientAddress {
  std::array<std::uint8_t, 16> bytes;  // IPv6, or IPv4 as ::ffff:a.b.c.d
  bool local;                          // came over a local socket
  // 192.0.2.7, 2001:db8::1, unix; empty when not known.
  std::string text() const;
  bool operator==(const ClientAddress&) const = default;
};

// Trivial on purpose: a ring of them is only touched where it is used. Zero-initialise with {}.
struct RequestEvent {
  base::WallMicros at;    // arrival
  ShortText<24> id;       // x-request-id
  ClientAddress client;   // behind trusted proxies: whom they name
  Label api;              // interned: openai, oip, ...
  Label route;            // interned: the path pattern
  Label key;              // interned key name; empty when there are no keys
  Label team;             // interned name of the key's team; empty: none
  Label model;            // interned route or model name; empty when unknown
  Label target;           // interned provider/model that answered
  ShortText<63> asked;    // the model as the caller wrote it
  ShortText<119> error;   // for people; empty when fine
  ShortText<79> dropped;  // request fields that could not be carried into the target's dialect
  ErrorType error_type;
  bool streamed;
  std::uint8_t attempts;
  std::uint16_t status;
  std::int64_t total_nanos;
  std::int64_t overhead_nanos;     // time spent here and not waiting for an upstream
  std::int64_t first_token_nanos;  // streams: arrival to first event out; 0 when none
  std::uint32_t events;            // streams: events forwarded
  std::int64_t input_tokens;
  std::int64_t output_tokens;
  std::int64_t cached_tokens;       // of the input, read from the provider's cache
  std::int64_t cache_write_tokens;  // of the input, written to it
  std::uint16_t trimmed;            // messages of its history left out so that the input fits the context
  bool over_context;                // refused: the input does not fit any target's context
  std::int64_t reasoning_tokens;    // of the output
  std::int64_t cost_micros;         // millionths of a US dollar
  bool cost_known;                  // false: some price is not known, and cost_micros is what is known of it
  std::int64_t waited_nanos;        // for its turn, before it was sent on
  bool usage_known;                 // the tokens below were reported by the provider, or estimated
  bool usage_estimated;
  std::uint64_t bytes_in;
  std::uint64_t bytes_out;
};
static_assert(std::is_trivial_v<RequestEvent>);

}  // namespace penstock::obs
