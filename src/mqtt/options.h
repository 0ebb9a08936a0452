// How to reach and greet a broker, as sources and sinks write it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "config/document.h"

namespace penstock::mqtt {

enum class Version : std::uint8_t { v311, v5 };

struct Options {
  std::string host;
  std::uint16_t port = 1883;
  bool tls = false;
  std::string ca;    // PEM file; empty: the machine's own certificate authorities
  std::string cert;  // PEM file of the client's certificate, with `key`
  std::string key;
  std::string client_id;  // empty: a random one per connection object
  std::string username;
  base::Secret password;
  Version version = Version::v311;
  std::chrono::seconds keepalive{60};

  // For people: mqtt://host:port, no credentials.
  std::string address() const;
};

// mqtt://host[:1883] or mqtts://host[:8883]; IPv6 hosts in brackets. Credentials inside are refused: a URL is printed,
// a password never is.
Result<Options> parse_url(std::string_view url);

// Reads `url` and the keys client_id, username, password, version, keepalive and tls: { ca, cert, key } of `map`.
// Mistakes are reported at their places.
Options read_options(const config::Node& url, config::Map& map);

}  // namespace penstock::mqtt
