// TLS as the configuration writes it.
#pragma once

#include "config/document.h"
#include "net/tls.h"

namespace penstock::app {

// `tls:` of a listener. Mistakes are reported on the node.
net::TlsServerOptions read_tls_server(const config::Node& node);

}  // namespace penstock::app
