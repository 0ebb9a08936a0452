#include "net/network.h"

#include <charconv>

namespace penstock::net {
namespace {

constexpr int kMappedBits = 96;  // IPv4 inside IPv6: ::ffff:0:0/96

// Whether both agree in their first `bits` bits.
bool agree(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b, int bits) {
  for (int i = 0; i < bits; ++i) {
    auto byte = static_cast<std::size_t>(i / 8);
    if (((a[byte] ^ b[byte]) >> (7 - i % 8)) & 1) return false;
  }
  return true;
}

bool only_zeros_after(const std::array<std::uint8_t, 16>& address, int bits) {
  for (int i = bits; i < 128; ++i) {
    if ((address[static_cast<std::size_t>(i / 8)] >> (7 - i % 8)) & 1) return false;
  }
  return true;
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  Network network;
  if (text == "unix") {
    network.local_ = true;
    return network;
  }
  std::size_t slash = text.find('/');
  auto endpoint = parse_endpoint({std::string(text.substr(0, slash)), 0});
  if (!endpoint) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no network; write an address, a block such as 10.0.0.0/8, or unix", text));
  }
  network.address_ = endpoint->address();
  if (slash == std::string_view::npos) return network;
  int widest = endpoint->storage.ss_family == AF_INET ? 32 : 128;
  std::string_view digits = text.substr(slash + 1);
  int bits = -1;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (ec != std::errc{} || end != digits.data() + digits.size() || bits < 0 || bits > widest) {
    return fail(Errc::invalid_argument, fmt::format("'{}': the prefix is a number of bits from 0 to {}", text, widest));
  }
  network.bits_ = widest == 32 ? bits + kMappedBits : bits;
  if (!only_zeros_after(network.address_, network.bits_)) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' has bits set after the prefix; write the block's first address", text));
  }
  return network;
}

bool Network::contains(const Endpoint& endpoint) const {
  if (local_ || endpoint.is_local_socket()) return local_ && endpoint.is_local_socket();
  return agree(address_, endpoint.address(), bits_);
}

bool contains(const std::vector<Network>& networks, const Endpoint& endpoint) {
  return std::any_of(networks.begin(), networks.end(), [&](const Network& one) { return one.contains(endpoint); });
}

}  // namespace penstock::net
