// Where the broker is that this process runs itself (src/broker), for everything configured with `mqtt: embedded`. One
// per process, as is the broker. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/secret.h"

namespace penstock::mqtt {

struct EmbeddedAddress {
  std::string host;  // with port 0 the path of a local socket
  std::uint16_t port = 0;
  std::string username;  // the gateway's own, made at start
  base::Secret password;
};

class Embedded {
 public:
  static void use(std::optional<EmbeddedAddress> address);
  // Nothing while there is no broker.
  static std::optional<EmbeddedAddress> find();
};

}  // namespace penstock::mqtt
