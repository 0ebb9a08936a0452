#include "app/listen_config.h"

#include "app/tls_config.h"

namespace penstock::app {
namespace {

constexpr std::string_view kDefaultAddress = "127.0.0.1:8080";

ListenConfig read_listener(const config::Node& node) {
  ListenConfig listen;
  if (node.kind() != config::Node::Kind::map) {
    listen.endpoint = read_endpoint(node, kDefaultAddress);
    return listen;
  }
  config::Map map = node.map();
  listen.endpoint = read_endpoint(map.required("address"), kDefaultAddress);
  if (config::Node tls = map.get("tls"); tls.present()) {
    listen.tls = read_tls_server(tls);
    listen.tls->alpn = {"h2", "http/1.1"};
  }
  listen.h2c = map.boolean("h2c", false);
  if (listen.h2c && listen.tls)
    map.get("h2c").problem(
        "`h2c` is HTTP/2 without TLS; with `tls` clients choose HTTP/2 in the handshake: leave it out");
  map.done();
  return listen;
}

}  // namespace

bool ListenConfig::operator==(const ListenConfig& other) const {
  return endpoint.text() == other.endpoint.text() && tls == other.tls && h2c == other.h2c;
}

net::Endpoint read_endpoint(const config::Node& node, std::string_view fallback) {
  std::string text = node.present() ? node.text(fallback) : std::string(fallback);
  auto address = net::parse_host_port(text);
  auto endpoint = address ? net::parse_endpoint(*address) : Result<net::Endpoint>(std::unexpected(address.error()));
  if (endpoint) return *endpoint;
  node.problem(endpoint.error().detail);
  return *net::parse_endpoint({"127.0.0.1", 0});
}

std::vector<ListenConfig> read_listeners(const config::Node& node) {
  if (node.kind() != config::Node::Kind::list) return {read_listener(node)};
  std::vector<ListenConfig> listeners;
  for (const config::Node& item : node.items()) listeners.push_back(read_listener(item));
  if (listeners.empty())
    node.problem("the list is empty, so nobody could reach the gateway; write an address such as 127.0.0.1:8080");
  return listeners;
}

Result<std::shared_ptr<const http::ListenerOptions>> listener_options(const ListenConfig& listen) {
  http::ListenerOptions options;
  options.h2c = listen.h2c;
  if (listen.tls) {
    auto context = net::TlsContext::server(*listen.tls);
    if (!context) return std::unexpected(context.error());
    options.tls = std::move(*context);
  }
  return std::make_shared<const http::ListenerOptions>(std::move(options));
}

}  // namespace penstock::app
