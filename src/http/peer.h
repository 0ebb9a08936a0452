// Who is at the other end of a connection.
#pragma once

#include "net/address.h"
#include "net/tls.h"

namespace penstock::http {

struct Peer {
  net::Endpoint endpoint;  // the client's address; length 0: a local socket, or not known
  net::TlsFacts tls;
  bool spare = false;  // taken beyond the limit of connections: it may ask for health, and nothing else
};

}  // namespace penstock::http
