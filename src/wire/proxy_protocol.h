// The PROXY protocol, versions 1 and 2: what a load balancer writes at the beginning of a connection to say whom it
// speaks for. After haproxy's specification (doc/proxy-protocol.txt, "The PROXY protocol, versions 1 & 2"). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace penstock::wire {

struct ProxiedAddress {
  enum class Family { none, ipv4, ipv6 };
  Family family = Family::none;  // none: the connection is the balancer's own (LOCAL), or it does not know (UNKNOWN)
  std::array<std::uint8_t, 16> source{};  // network order; the first four bytes for IPv4
  std::uint16_t port = 0;
};

struct ProxyHeader {
  std::size_t size = 0;  // bytes of the header; 0: more are needed to tell
  ProxiedAddress client;
};

// Longest header taken: 16 bytes and what they announce, addresses and extensions (TLVs), which are skipped.
constexpr std::size_t kProxyHeaderBytesMax = 4096;
// Longest line of version 1, its end included.
constexpr std::size_t kProxyLineBytesMax = 107;

// Looks at all that came so far. The error says what is wrong; more bytes would not mend it.
std::expected<ProxyHeader, std::string> read_proxy_header(std::string_view bytes);

}  // namespace penstock::wire
