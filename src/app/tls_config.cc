#include "app/tls_config.h"

#include "net/tls_tickets.h"

namespace penstock::app {
namespace {

net::TlsKeyPair read_pair(config::Map& map) { return {map.required_text("cert"), map.required_text("key")}; }

std::vector<net::TlsKeyPair> read_certificates(const config::Node& node, config::Map& map) {
  config::Node list = map.get("certificates");
  if (!list.present()) return {read_pair(map)};
  if (map.has("cert") || map.has("key"))
    node.problem("write either `cert` and `key` or a list of them under `certificates`, not both");
  std::vector<net::TlsKeyPair> pairs;
  for (const config::Node& item : list.items()) {
    config::Map pair = item.map();
    pairs.push_back(read_pair(pair));
    pair.done();
  }
  if (pairs.empty()) list.problem("the list is empty; it needs at least one { cert, key }");
  return pairs;
}

void read_client_auth(config::Map& map, net::TlsServerOptions& options) {
  options.client_ca_file = map.text("client_ca");
  bool given = !options.client_ca_file.empty();
  std::string auth = map.choice("client_auth", {"none", "optional", "required"}, given ? "required" : "none");
  options.client_auth = auth == "required"   ? net::ClientAuth::required
                        : auth == "optional" ? net::ClientAuth::optional
                                             : net::ClientAuth::none;
  if (!given && options.client_auth != net::ClientAuth::none)
    map.get("client_auth").problem("clients' certificates need somebody who signed them: add `client_ca: FILE`");
}

}  // namespace

net::TlsServerOptions read_tls_server(const config::Node& node) {
  net::TlsServerOptions options;
  config::Map map = node.map();
  options.certificates = read_certificates(node, map);
  read_client_auth(map, options);
  if (map.choice("min_version", {"1.2", "1.3"}, "1.2") == "1.3") options.min_version = net::TlsVersion::tls13;
  base::Duration lifetime = map.duration("session_lifetime", options.session_lifetime);
  if (lifetime < std::chrono::seconds(1) || lifetime > net::TlsTicketKeys::kLifetimeMax) {
    map.get("session_lifetime").problem("between 1s and 24h is possible");
  } else {
    options.session_lifetime = std::chrono::duration_cast<std::chrono::seconds>(lifetime);
  }
  map.done();
  return options;
}

}  // namespace penstock::app
