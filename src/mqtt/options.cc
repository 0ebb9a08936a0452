#include "mqtt/options.h"

#include <fmt/format.h>

#include <charconv>

#include "mqtt/topic.h"

namespace penstock::mqtt {
namespace {

using namespace std::chrono_literals;

// Takes the scheme off `rest`; false when it is neither.
bool take_scheme(std::string_view& rest, Options& options) {
  for (auto [scheme, tls] : {std::pair("mqtt://", false), {"tcp://", false}, {"mqtts://", true}, {"ssl://", true}}) {
    if (!rest.starts_with(scheme)) continue;
    rest.remove_prefix(std::string_view(scheme).size());
    options.tls = tls;
    options.port = tls ? 8883 : 1883;
    return true;
  }
  return false;
}

bool read_port(std::string_view text, std::uint16_t& port) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

void read_tls(config::Map& map, Options& options) {
  config::Node node = map.get("tls");
  if (!node.present()) return;
  config::Map tls = node.map();
  options.ca = tls.text("ca");
  options.cert = tls.text("cert");
  options.key = tls.text("key");
  tls.done();
  if (options.cert.empty() != options.key.empty()) node.problem("`cert` and `key` go together: name both files");
  if (!options.tls) node.problem("`tls` has no effect on a mqtt:// address; write mqtts://");
}

void read_will(const config::Node& node, Options& options) {
  if (!node.present()) return;
  config::Map map = node.map();
  Will will;
  will.topic = map.required_text("topic");
  will.payload = map.text("payload");
  will.qos = static_cast<int>(map.integer("qos", 0, 0, 2));
  will.retain = map.boolean("retain", false);
  map.done();
  if (auto checked = check_topic(will.topic); !checked && map.has("topic")) {
    map.get("topic").problem(checked.error().detail);
  }
  options.will = std::move(will);
}

// Host, port, name and password of the gateway's own broker are its own business.
void refuse_with_embedded(config::Map& map) {
  for (const char* key : {"username", "password", "tls"}) {
    if (map.has(key)) map.get(key).problem("not with `embedded`: the gateway makes its own credentials for its broker");
  }
}

}  // namespace

std::string Options::address() const {
  if (embedded) return "the embedded broker";
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", tls ? "mqtts" : "mqtt", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

Result<Options> parse_url(std::string_view url) {
  Options options;
  std::string_view rest = url;
  if (!take_scheme(rest, options)) {
    return fail(Errc::invalid_argument, "a broker's address is mqtt://host:port or mqtts://host:port");
  }
  if (rest.find('@') != std::string_view::npos) {
    return fail(Errc::invalid_argument, "no credentials in the address: write them as `username` and `password`");
  }
  while (rest.ends_with('/')) rest.remove_suffix(1);
  std::string_view port;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return fail(Errc::invalid_argument, "the IPv6 address lacks its ']'");
    options.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else {
    const std::size_t colon = rest.find(':');
    options.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon);
  }
  if (options.host.empty()) return fail(Errc::invalid_argument, "the broker's address lacks the host name");
  if (options.host.find_first_of("/ ?#") != std::string::npos) {
    return fail(Errc::invalid_argument, "a broker's address ends after the port: mqtt://host:port");
  }
  if (!port.empty() && (!port.starts_with(':') || !read_port(port.substr(1), options.port))) {
    return fail(Errc::invalid_argument, "the broker's port is a number from 1 to 65535");
  }
  return options;
}

Options read_options(const config::Node& url, config::Map& map) {
  Options options;
  if (!url.present()) {
    map.node().problem("the broker's address is missing: mqtt://host:1883");
  } else if (url.text() == "embedded") {
    options.embedded = true;
    refuse_with_embedded(map);
  } else if (auto parsed = parse_url(url.text()); parsed) {
    options = std::move(*parsed);
  } else {
    url.problem(parsed.error().detail);
  }
  options.client_id = map.text("client_id");
  options.username = map.text("username");
  options.password = map.secret("password");
  // Of our own broker it is known that it speaks 5, and says what it does not take instead of hanging up.
  options.version =
      map.choice("version", {"3.1.1", "5"}, options.embedded ? "5" : "3.1.1") == "5" ? Version::v5 : Version::v311;
  options.keepalive = std::chrono::duration_cast<std::chrono::seconds>(map.duration("keepalive", 60s));
  // The library's own least is 5 s; the protocol's most is 16 bits.
  if (options.keepalive < 5s || options.keepalive > 65535s) {
    map.get("keepalive").problem("a keepalive is from 5s to 65535s");
    options.keepalive = 60s;
  }
  if (!options.password.empty() && options.username.empty()) {
    map.get("password").problem("a password needs a `username`");
  }
  if (!options.embedded) read_tls(map, options);
  read_will(map.get("will"), options);
  return options;
}

}  // namespace penstock::mqtt
