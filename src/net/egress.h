// Which addresses this process may connect to: the last word over every URL and every name in the configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace penstock::net {

// A network as configuration writes it: "10.0.0.0/8", "fd00:ec2::254". IPv4 is kept as IPv4-mapped IPv6.
struct Network {
  std::array<std::uint8_t, 16> bytes{};
  unsigned bits = 128;
  std::string text;

  bool contains(const std::array<std::uint8_t, 16>& address) const;
};
// Errors: invalid_argument with what to write. Bits behind the prefix must be zero.
Result<Network> parse_network(std::string_view text);

// The narrowest network that contains an address decides; of equal ones, that of `allow`, then that of `deny`, then the
// built-in one. What no network contains is allowed: loopback and private networks are where edge providers live.
// Built in as denied: link-local networks, the metadata services of clouds, multicast, unspecified and reserved
// addresses.
class Egress {
 public:
  Egress() : Egress({}, {}) {}
  Egress(const std::vector<Network>& allow, const std::vector<Network>& deny);

  // permission_denied with the network that says so. An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) must be
  // allowed too.
  Result<void> permits(const Endpoint& endpoint) const;

  // The one of the process, asked with every new outgoing connection. Any thread.
  static void use(Egress egress);
  static Result<void> check(const Endpoint& endpoint);

 private:
  struct Rule {
    Network network;
    bool allow;
    std::string_view why;  // what the network is, for people
  };
  const Rule* decide(const std::array<std::uint8_t, 16>& address) const;
  std::vector<Rule> rules_;  // in the order of precedence
};

}  // namespace penstock::net
