// TLS as the configuration writes it.
#pragma once

#include "config/document.h"
#include "net/tls.h"

namespace penstock::app {

// `tls:` of a listener: { cert, key } or { certificates: [ { cert, key }, ... ] }, and who may connect. Mistakes are
// reported on the node.
net::TlsServerOptions read_tls_server(const config::Node& node);

}  // namespace penstock::app
