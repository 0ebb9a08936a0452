// Who is at the other end of a connection.
#pragma once

#include <memory>
#include <vector>

#include "net/address.h"
#include "net/network.h"
#include "net/tls.h"

namespace penstock::http {

struct Peer {
  // The client's address, or that of the proxy before it; length 0: a local socket, or not known.
  net::Endpoint endpoint;
  // What it says about its clients in X-Forwarded-For and its kin is believed, as is what these say. Null: it is not.
  std::shared_ptr<const std::vector<net::Network>> trusted_proxies;
  net::TlsFacts tls;
  bool spare = false;  // taken beyond the limit of connections: it may ask for health, and nothing else
};

}  // namespace penstock::http
