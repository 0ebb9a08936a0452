#include "app/tls_config.h"

namespace penstock::app {

net::TlsServerOptions read_tls_server(const config::Node& node) {
  net::TlsServerOptions options;
  config::Map map = node.map();
  options.cert_file = map.required_text("cert");
  options.key_file = map.required_text("key");
  map.done();
  return options;
}

}  // namespace penstock::app
