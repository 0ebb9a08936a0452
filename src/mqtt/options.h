// How to reach and greet a broker, as sources and sinks write it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "config/document.h"

namespace penstock::mqtt {

enum class Version : std::uint8_t { v311, v5 };

// What the broker publishes for us when we vanish without a goodbye.
struct Will {
  std::string topic;
  std::string payload;
  int qos = 0;
  bool retain = false;
};

// How far a stable client id reaches: one per `data_dir` and `name`.
struct Identity {
  std::string data_dir;  // empty: a random id per connection object
  std::string name;
};

struct Options {
  // The broker of this gateway (embedded.h): host, port, username and password are asked for with every attempt.
  bool embedded = false;
  std::string host;  // with port 0 the path of a local socket
  std::uint16_t port = 1883;
  bool tls = false;
  std::string ca;    // PEM file; empty: the machine's own certificate authorities
  std::string cert;  // PEM file of the client's certificate, with `key`
  std::string key;
  std::string client_id;  // empty: made of `identity` when a session is kept, else random
  Identity identity;
  std::string username;
  base::Secret password;
  Version version = Version::v311;
  std::chrono::seconds keepalive{60};
  // How long the broker keeps our subscriptions, and what comes for them above QoS 0, while we are away. 0: not at all.
  // MQTT 3.1.1 knows only yes and no.
  std::chrono::seconds session{0};
  std::optional<Will> will;

  // For people: mqtt://host:port, no credentials.
  std::string address() const;
};

// mqtt://host[:1883] or mqtts://host[:8883]; IPv6 hosts in brackets. Credentials inside are refused: a URL is printed,
// a password never is.
Result<Options> parse_url(std::string_view url);

// Reads `url` (an address, or `embedded`) and the keys client_id, username, password, version, keepalive, tls: { ca,
// cert, key } and will: { topic, payload, qos, retain } of `map`. Mistakes are reported at their places.
Options read_options(const config::Node& url, config::Map& map);

}  // namespace penstock::mqtt
