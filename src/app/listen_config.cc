#include "app/listen_config.h"

#include <charconv>

#include "app/tls_config.h"

namespace penstock::app {
namespace {

constexpr std::string_view kDefaultAddress = "127.0.0.1:8080";
constexpr std::string_view kHandedOver = "systemd:";

void read_address(const config::Node& node, const SocketNames& names, ListenConfig& listen) {
  std::string text = node.present() ? node.text(kDefaultAddress) : std::string(kDefaultAddress);
  if (!text.starts_with(kHandedOver)) {
    listen.endpoint = read_endpoint(node, kDefaultAddress);
    return;
  }
  listen.socket_name = text.substr(kHandedOver.size());
  if (!names) return;
  auto endpoint = names(listen.socket_name);
  if (endpoint) {
    listen.endpoint = *endpoint;
  } else {
    node.problem(
        fmt::format("no socket called '{}' was handed over; FileDescriptorName= of the socket unit is its name",
                    listen.socket_name));
  }
}

std::optional<mode_t> read_mode(const config::Node& node, bool local) {
  if (!node.present()) return std::nullopt;
  std::string text = node.text();
  unsigned value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (ec != std::errc{} || end != text.data() + text.size() || value > 0777) {
    node.problem("a mode is written as chmod takes it, for example 0660");
  } else if (!local) {
    node.problem("`mode` is of the file of a local socket: it goes with an address such as unix:/run/penstock.sock");
  } else {
    return static_cast<mode_t>(value);
  }
  return std::nullopt;
}

ListenConfig read_listener(const config::Node& node, const SocketNames& names) {
  ListenConfig listen;
  if (node.kind() != config::Node::Kind::map) {
    read_address(node, names, listen);
    return listen;
  }
  config::Map map = node.map();
  read_address(map.required("address"), names, listen);
  listen.mode = read_mode(map.get("mode"), listen.endpoint.is_local_socket() && listen.socket_name.empty());
  if (config::Node tls = map.get("tls"); tls.present()) {
    listen.tls = read_tls_server(tls);
    listen.tls->alpn = {"h2", "http/1.1"};
  }
  listen.h2c = map.boolean("h2c", false);
  if (listen.h2c && listen.tls)
    map.get("h2c").problem(
        "`h2c` is HTTP/2 without TLS; with `tls` clients choose HTTP/2 in the handshake: leave it out");
  listen.proxy_protocol = map.boolean("proxy_protocol", false);
  listen.trusted_proxies = read_networks(map.get("trusted_proxies"));
  map.done();
  return listen;
}

}  // namespace

std::string ListenConfig::address() const {
  return socket_name.empty() ? endpoint.text() : std::string(kHandedOver) + socket_name;
}

std::vector<std::string> ListenConfig::files() const {
  if (!tls) return {};
  return tls->files();
}

net::Endpoint read_endpoint(const config::Node& node, std::string_view fallback) {
  std::string text = node.present() ? node.text(fallback) : std::string(fallback);
  auto endpoint = net::parse_listen_address(text);
  if (endpoint) return *endpoint;
  node.problem(endpoint.error().detail);
  return *net::parse_endpoint({"127.0.0.1", 0});
}

std::vector<net::Network> read_networks(const config::Node& node) {
  std::vector<net::Network> networks;
  if (!node.present()) return networks;
  for (const config::Node& item : node.items()) {
    if (auto network = net::Network::parse(item.text())) {
      networks.push_back(*network);
    } else {
      item.problem(network.error().detail);
    }
  }
  return networks;
}

std::vector<ListenConfig> read_listeners(const config::Node& node, const SocketNames& names) {
  if (node.kind() != config::Node::Kind::list) return {read_listener(node, names)};
  std::vector<ListenConfig> listeners;
  for (const config::Node& item : node.items()) {
    ListenConfig listen = read_listener(item, names);
    bool known = std::any_of(listeners.begin(), listeners.end(), [&](const ListenConfig& other) {
      return other.address() == listen.address() && (listen.endpoint.port() != 0 || listen.endpoint.is_local_socket());
    });
    if (known) item.problem(fmt::format("{} is listed twice", listen.address()));
    listeners.push_back(std::move(listen));
  }
  if (listeners.empty())
    node.problem("the list is empty, so nobody could reach the gateway; write an address such as 127.0.0.1:8080");
  return listeners;
}

Result<std::shared_ptr<const http::ListenerOptions>> listener_options(
    const ListenConfig& listen, std::shared_ptr<const std::atomic<bool>> removed) {
  http::ListenerOptions options;
  options.h2c = listen.h2c;
  if (listen.tls) {
    auto context = net::TlsContext::server(*listen.tls);
    if (!context) return std::unexpected(context.error());
    options.tls = std::move(*context);
  }
  options.proxy_protocol = listen.proxy_protocol;
  if (!listen.trusted_proxies.empty())
    options.trusted_proxies = std::make_shared<const std::vector<net::Network>>(listen.trusted_proxies);
  options.removed = std::move(removed);
  return std::make_shared<const http::ListenerOptions>(std::move(options));
}

}  // namespace penstock::app
