// Blocks of addresses: whom to believe, whom to let in.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace penstock::net {

// "10.0.0.0/8", "2001:db8::/32", "192.0.2.7" (that one alone), "unix" (whoever comes over a local socket).
class Network {
 public:
  // Errors: invalid_argument; also for bits beyond the prefix ("10.1.2.3/8"), which are mostly a slip of the pen.
  static Result<Network> parse(std::string_view text);
  bool contains(const Endpoint& endpoint) const;
  bool operator==(const Network&) const = default;

 private:
  std::array<std::uint8_t, 16> address_{};
  int bits_ = 128;
  bool local_ = false;
};

bool contains(const std::vector<Network>& networks, const Endpoint& endpoint);

}  // namespace penstock::net
