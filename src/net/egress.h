// Which addresses this process may connect to: the last word over every URL and every name in the configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/network.h"

namespace penstock::net {

// What `allow` contains is allowed, else what `deny` contains is denied, else what is built in as denied, else all is
// allowed: loopback and private networks are where edge providers live. Built in: link-local networks, the metadata
// services of clouds, multicast, unspecified and reserved addresses.
class Egress {
 public:
  Egress() : Egress({}, {}) {}
  Egress(const std::vector<Network>& allow, const std::vector<Network>& deny);

  // permission_denied with the rule that says so. An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) must be
  // allowed too. Local sockets always are.
  Result<void> permits(const Endpoint& endpoint) const;

  // The one of the process, asked with every new outgoing connection. Any thread.
  static void use(Egress egress);
  static Result<void> check(const Endpoint& endpoint);

 private:
  struct Rule {
    Network network;
    bool allow;
    std::string_view why;  // for people
  };
  const Rule* decide(const Endpoint& endpoint) const;
  std::vector<Rule> rules_;  // the first that contains an address decides
};

}  // namespace penstock::net
