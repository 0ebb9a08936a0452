#include "llm/origin_config.h"

#include <sys/stat.h>

#include "config/timeout.h"
#include "net/tls_certificate.h"

namespace penstock::llm {
namespace {

constexpr std::int64_t kConnectionsMax = 20'000;
constexpr std::int64_t kStreamsMax = 1'000;

http::ConnectionLimits read_connections(const config::Node& node) {
  http::ConnectionLimits limits;
  if (!node.present()) return limits;
  config::Map map = node.map();
  limits.max = static_cast<std::size_t>(map.integer("max", static_cast<std::int64_t>(limits.max), 1, kConnectionsMax));
  limits.waiting =
      static_cast<std::size_t>(map.integer("waiting", static_cast<std::int64_t>(limits.waiting), 0, kConnectionsMax));
  limits.idle = map.duration("idle", limits.idle);
  limits.streams =
      static_cast<std::size_t>(map.integer("streams", static_cast<std::int64_t>(limits.streams), 1, kStreamsMax));
  map.done();
  return limits;
}

http::OutlierPolicy read_outlier(const config::Node& node) {
  http::OutlierPolicy policy;
  if (!node.present()) return policy;
  config::Map map = node.map();
  policy.failures = map.integer("failures", policy.failures, 0, 1000);
  policy.eject = map.duration("eject", policy.eject);
  map.done();
  return policy;
}

std::optional<http::HealthCheck> read_check(const config::Node& node) {
  if (!node.present()) return std::nullopt;
  http::HealthCheck check;
  config::Map map = node.map();
  check.interval = config::read_timeout(map, "interval", check.interval);
  check.timeout = config::read_timeout(map, "timeout", check.timeout);
  check.unhealthy_after = map.integer("unhealthy_after", check.unhealthy_after, 1, 100);
  check.healthy_after = map.integer("healthy_after", check.healthy_after, 1, 100);
  map.done();
  return check;
}

// A file that was replaced is another one.
std::string stamp_of(const std::string& file) {
  struct stat info{};
  if (file.empty() || ::stat(file.c_str(), &info) != 0) return file;
  return fmt::format("{} {} {}.{}", file, info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

struct Tls {
  net::TlsClientOptions options;
  std::string server_name;
};

std::vector<std::string> read_pins(config::Map& map) {
  std::vector<std::string> pins = map.texts("pin");
  for (const std::string& pin : pins) {
    if (!net::is_pin(pin)) {
      map.get("pin").problem(fmt::format(
          "'{}' is no pin: write sha256/ and 44 characters of base64, the SHA-256 of the server's public key", pin));
    }
  }
  return pins;
}

Tls read_tls(const config::Node& node, bool https) {
  Tls tls;
  if (!node.present()) return tls;
  config::Map map = node.map();
  tls.options.ca_file = map.text("ca");
  tls.options.certificate = {map.text("cert"), map.text("key")};
  tls.server_name = map.text("server_name");
  tls.options.pins = read_pins(map);
  map.done();
  if (map.has("cert") != map.has("key")) node.problem("a client certificate needs both, `cert` and `key`");
  if (!https) node.problem("`tls` says nothing to a base_url that starts with http://");
  return tls;
}

http::Http2Use read_http2(config::Map& map) {
  std::string use = map.text("http2", "auto");
  if (use == "auto") return http::Http2Use::automatic;
  if (use == "off") return http::Http2Use::off;
  if (use == "prior_knowledge") return http::Http2Use::prior_knowledge;
  map.get("http2").problem(fmt::format("'{}' is not one of auto, off and prior_knowledge", use));
  return http::Http2Use::automatic;
}

std::vector<std::string> protocols(http::Http2Use use) {
  switch (use) {
    case http::Http2Use::off: return {"http/1.1"};
    case http::Http2Use::prior_knowledge: return {"h2"};
    case http::Http2Use::automatic: break;
  }
  return {"h2", "http/1.1"};
}

// All that makes origins different, in one text.
std::string identity_of(const http::Origin& origin, const Tls& tls) {
  const http::ConnectionLimits& limits = origin.connections;
  std::string check = "none";
  if (origin.check) {
    check = fmt::format("{} {} {} {}", origin.check->interval.count(), origin.check->timeout.count(),
                        origin.check->unhealthy_after, origin.check->healthy_after);
  }
  std::string files;
  for (const std::string& file : tls.options.files()) files += stamp_of(file) + '\n';
  return fmt::format("{}\n{}{}\n{}\n{}\n{}\n{} {}\n{} {} {} {} {}\n{} {}\n{}", origin.name, origin.url.place(),
                     origin.url.path, files, tls.server_name, fmt::join(tls.options.pins, " "),
                     static_cast<int>(origin.http2), fmt::join(tls.options.alpn, " "), origin.connect_timeout.count(),
                     limits.max, limits.waiting, limits.streams, limits.idle.count(), origin.outlier.failures,
                     origin.outlier.eject.count(), check);
}

// What connections of HTTP/2 cannot do. Null when TLS cannot start, which was told about the origin itself.
std::shared_ptr<const http::Origin> origin_for_upgrades(const http::Origin& origin, Tls tls) {
  http::Origin own;
  own.name = origin.name;
  own.url = origin.url;
  own.files = origin.files;
  own.tls_name = origin.tls_name;
  own.http2 = http::Http2Use::off;
  own.connect_timeout = origin.connect_timeout;
  own.connections = origin.connections;
  own.outlier = origin.outlier;
  tls.options.alpn = protocols(own.http2);
  if (origin.tls) {
    auto context = net::TlsContext::client(tls.options);
    if (!context) return nullptr;
    own.tls = std::move(*context);
  }
  std::string identity = identity_of(own, tls);
  return http::share_origin(identity, std::move(own));
}

}  // namespace

std::shared_ptr<const http::Origin> read_origin(const std::string& name, config::Map& map,
                                                std::string_view default_base_url) {
  http::Origin origin;
  origin.name = name;
  config::Node base_url = map.get("base_url");
  auto url = net::parse_http_url(base_url.present() ? base_url.text() : std::string(default_base_url));
  origin.connect_timeout = config::read_timeout(map, "connect_timeout", origin.connect_timeout);
  origin.connections = read_connections(map.get("connections"));
  origin.http2 = read_http2(map);
  origin.outlier = read_outlier(map.get("outlier"));
  origin.check = read_check(map.get("health"));
  config::Node tls_node = map.get("tls");
  Tls tls = read_tls(tls_node, !url || url->tls());
  if (!url) {
    base_url.problem(url.error().detail);
    return nullptr;
  }
  origin.url = std::move(*url);
  origin.tls_name = tls.server_name;
  tls.options.alpn = protocols(origin.http2);
  if (origin.url.tls()) {
    auto context = net::TlsContext::client(tls.options);
    if (!context) {
      tls_node.problem(context.error().detail);
      return nullptr;
    }
    origin.tls = std::move(*context);
    origin.files = tls.options.files();
  }
  bool may_speak_h2 = origin.http2 == http::Http2Use::prior_knowledge ||
                      (origin.http2 == http::Http2Use::automatic && origin.tls != nullptr);
  if (may_speak_h2) origin.for_upgrades = origin_for_upgrades(origin, tls);
  std::string identity = identity_of(origin, tls);
  return http::share_origin(identity, std::move(origin));
}

}  // namespace penstock::llm
