// `listen:` of the configuration: where callers reach the gateway, and how.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "http/server.h"
#include "net/network.h"
#include "net/tls.h"

namespace penstock::app {

struct ListenConfig {
  net::Endpoint endpoint;
  std::string socket_name;     // of a socket that systemd hands over; empty: opened here, or found by its address
  std::optional<mode_t> mode;  // of the file of a local socket
  std::optional<net::TlsServerOptions> tls;  // nothing: plain
  bool h2c = false;                          // plain: also HTTP/2, for clients that know beforehand
  bool proxy_protocol = false;
  std::vector<net::Network> trusted_proxies;

  // As written: 127.0.0.1:8080, unix:/run/x.sock, systemd:NAME. Two listeners differ in it.
  std::string address() const;
  // The files whose change asks for a reload.
  std::vector<std::string> files() const;
};

// The address of a socket systemd handed over by that name; nothing when there is none. An empty function knows no
// names and takes any: for checking a file elsewhere.
using SocketNames = std::function<std::optional<net::Endpoint>(const std::string& name)>;

// An address, or a list of addresses and maps { address, mode, tls, h2c, proxy_protocol, trusted_proxies }. Mistakes
// are reported on the node.
std::vector<ListenConfig> read_listeners(const config::Node& node, const SocketNames& names = {});
// A list of networks such as 10.0.0.0/8; empty when absent.
std::vector<net::Network> read_networks(const config::Node& node);
// A numeric address and port, or unix:FILE; `fallback` when the node is absent.
net::Endpoint read_endpoint(const config::Node& node, std::string_view fallback);

// What connections of this listener need; reads the files it names. `removed` is set when it is gone. Errors:
// invalid_argument, naming the file.
Result<std::shared_ptr<const http::ListenerOptions>> listener_options(const ListenConfig& listen,
                                                                      std::shared_ptr<const std::atomic<bool>> removed);

}  // namespace penstock::app
