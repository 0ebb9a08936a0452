// `listen:` of the configuration: where callers reach the gateway, and how.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "http/server.h"
#include "net/address.h"
#include "net/tls.h"

namespace penstock::app {

struct ListenConfig {
  net::Endpoint endpoint;
  std::optional<net::TlsServerOptions> tls;  // nothing: plain
  bool h2c = false;                          // plain: also HTTP/2, for clients that know beforehand

  bool operator==(const ListenConfig&) const;
};

// An address, or a list of addresses and maps { address, tls, h2c }. Mistakes are reported on the node.
std::vector<ListenConfig> read_listeners(const config::Node& node);
// A numeric address and port; `fallback` when the node is absent.
net::Endpoint read_endpoint(const config::Node& node, std::string_view fallback);

// What connections of this listener need; reads the files it names. Errors: invalid_argument, naming the file.
Result<std::shared_ptr<const http::ListenerOptions>> listener_options(const ListenConfig& listen);

}  // namespace penstock::app
