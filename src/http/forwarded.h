// What proxies say about the client they speak for: Forwarded (RFC 7239), or X-Forwarded-For, -Proto and -Host.
#pragma once

#include <string_view>

#include "http/exchange.h"

namespace penstock::http {

struct Client {
  net::Endpoint endpoint;  // its port is 0 where no proxy told it
  bool secure = false;     // it speaks TLS
  std::string_view host;   // what it asked for; a view of the request
};

// Goes from the last hop towards the first as long as hops are in `peer.trusted_proxies`, and takes the first that is
// not: nobody beyond it can be believed. With no field, or one that cannot be read, the peer itself. When both kinds of
// fields come and name different clients, neither is believed: one of them was written by the client.
Client read_forwarded(const Request& request, const Peer& peer);

}  // namespace penstock::http
