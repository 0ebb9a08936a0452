#include "app/admin_access.h"

#include <array>

#include "app/listen_config.h"
#include "app/tls_config.h"
#include "flow/keys.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

constexpr std::string_view kDefaultAddress = "127.0.0.1:8081";
// Nothing of the gateway is in them: the page without its figures, and what probes ask for.
constexpr std::array<std::string_view, 3> kOpenPaths{"/", "/healthz", "/readyz"};

bool host_is_local(std::string_view host) {
  auto address = net::parse_host_port(host, 80);
  auto endpoint = address ? net::parse_endpoint(*address) : Result<net::Endpoint>(std::unexpected(address.error()));
  return endpoint && endpoint->is_loopback();
}

// An IPv6 host has a whole /64 to itself.
std::string network_of(const net::Endpoint& peer) {
  auto bytes = peer.address();
  bool mapped =
      bytes[10] == 0xff && std::all_of(bytes.begin(), bytes.begin() + 10, [](auto byte) { return byte == 0; });
  return std::string(reinterpret_cast<const char*>(bytes.data()), mapped ? bytes.size() : bytes.size() / 2);
}

bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return wire::equal_ignoring_case(type, "application/json");
}

// A browser says where a page comes from; programs say nothing.
std::optional<std::string_view> foreign(const http::Request& request) {
  std::string_view site = request.field("sec-fetch-site");
  if (!site.empty() && site != "same-origin" && site != "none") return "the browser says another site sent it";
  std::string_view origin = request.field(wire::FieldId::origin);
  if (origin.empty()) return std::nullopt;
  std::size_t mark = origin.find("://");
  bool own = mark != std::string_view::npos &&
             wire::equal_ignoring_case(origin.substr(mark + 3), request.field(wire::FieldId::host));
  if (own) return std::nullopt;
  return "its Origin is another site's";
}

std::optional<AdminAccess::Refusal> check_change(const http::Request& request) {
  if (request.method == "GET" || request.method == "HEAD") return std::nullopt;
  if (auto why = foreign(request)) return AdminAccess::Refusal{403, fmt::format("not changed: {}", *why)};
  // Forms cannot send this type (nor a DELETE), and scripts of other sites must ask first, which nothing here answers.
  if (request.method != "DELETE" && !is_json(request.field(wire::FieldId::content_type)))
    return AdminAccess::Refusal{415, "changes are taken with `content-type: application/json` only"};
  return std::nullopt;
}

}  // namespace

AdminConfig read_admin(const config::Node& node, bool insecure) {
  AdminConfig config;
  if (node.kind() != config::Node::Kind::map) {
    config.endpoint = read_endpoint(node, kDefaultAddress);
  } else {
    config::Map map = node.map();
    config.endpoint = read_endpoint(map.get("address"), kDefaultAddress);
    config::Node key = map.get("key");
    if (key.present()) config.key = key.secret();
    if (key.present() && config.key.empty()) key.problem("the key is empty; `openssl rand -hex 24` makes a good one");
    if (config::Node tls = map.get("tls"); tls.present()) {
      config.tls = read_tls_server(tls);
      config.tls->alpn = {"h2", "http/1.1"};
    }
    config.metrics_open = map.boolean("metrics_open", false);
    map.done();
  }
  if (insecure || config.endpoint.is_loopback() || (config.tls && !config.key.empty())) return config;
  node.problem(
      "the admin API is reachable from outside: give it `key` and `tls` ({ address, key, tls: { cert, key } }), listen "
      "on loopback, or write `insecure: true` to say you protect it otherwise");
  return config;
}

AdminAccess::AdminAccess() : hash_key_(base::random_token(24)) {}

void AdminAccess::change(const AdminConfig& config) {
  loopback_ = config.endpoint.is_loopback() && !config.endpoint.is_local_socket();
  metrics_open_ = config.metrics_open;
  key_hash_ = config.key.empty() ? "" : base::hmac_sha256_hex(hash_key_, config.key.reveal());
  if (!config.key.empty() && config.key.reveal().size() < flow::DeclaredKey::kStrongBytesMin) {
    obs::log(obs::Level::warn, "the admin key is short enough to be guessed; `openssl rand -hex 24` makes a good one");
  }
}

std::optional<AdminAccess::Refusal> AdminAccess::check(const http::Request& request, const net::Endpoint& peer,
                                                       base::SteadyTime now) {
  key_name_.clear();
  if (loopback_ && !host_is_local(request.field(wire::FieldId::host)))
    return Refusal{403, "the admin API is served on loopback names only: use 127.0.0.1 or localhost"};
  if (auto refusal = check_change(request)) return refusal;
  bool open = std::find(kOpenPaths.begin(), kOpenPaths.end(), request.path) != kOpenPaths.end() ||
              (metrics_open_ && request.path == "/metrics");
  if (key_hash_.empty() || open) return std::nullopt;
  return check_key(request, peer, now);
}

std::optional<AdminAccess::Refusal> AdminAccess::check_key(const http::Request& request, const net::Endpoint& peer,
                                                           base::SteadyTime now) {
  constexpr std::string_view kBearer = "Bearer ";
  std::string_view given = request.field(wire::FieldId::authorization);
  if (given.size() <= kBearer.size() || !wire::equal_ignoring_case(given.substr(0, kBearer.size()), kBearer))
    return Refusal{
        401, "the admin key is needed: send `Authorization: Bearer` with the key under `admin` in the configuration"};
  std::string_view secret = given.substr(kBearer.size());
  if (base::constant_time_equal(base::hmac_sha256_hex(hash_key_, secret), key_hash_)) return std::nullopt;
  if (auto name = find_key_ ? find_key_(secret, peer) : Result<std::string>(fail(Errc::unauthenticated, ""))) {
    key_name_ = std::move(*name);
    return std::nullopt;
  } else if (name.error().code == Errc::permission_denied) {
    return Refusal{403, name.error().detail};
  }
  Tries& tries = tries_of(peer, now);
  if (tries.left < 1) {
    int wait = static_cast<int>(std::chrono::ceil<std::chrono::seconds>(kWrongKeyEvery).count());
    return Refusal{429, "too many wrong admin keys from this address; wait, then try again", wait};
  }
  tries.left -= 1;
  obs::log(obs::Level::warn, "a wrong admin key was refused", {{"address", peer.text()}});
  return Refusal{401, "this is not the admin key; it stands under `admin` in the configuration"};
}

AdminAccess::Tries& AdminAccess::tries_of(const net::Endpoint& peer, base::SteadyTime now) {
  std::string address = network_of(peer);
  auto found = std::find_if(tries_.begin(), tries_.end(), [&](const Tries& one) { return one.address == address; });
  if (found == tries_.end() && tries_.size() < kAddressesMax) {
    tries_.push_back({address, kWrongKeys, now});
    return tries_.back();
  }
  if (found == tries_.end()) {
    found = std::min_element(tries_.begin(), tries_.end(), [](const Tries& a, const Tries& b) { return a.at < b.at; });
    *found = {address, kWrongKeys, now};
  }
  double earned = std::chrono::duration<double>(now - found->at) / std::chrono::duration<double>(kWrongKeyEvery);
  found->left = std::min<double>(kWrongKeys, found->left + earned);
  found->at = now;
  return *found;
}

}  // namespace penstock::app
