// Where to listen and whom to connect to.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::net {

// host:port as written; IPv6 in brackets.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  std::string text() const;
};

// "127.0.0.1:8080", "[::1]:0", "localhost:80". `default_port` applies when none is written; 0 means one is required.
Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port = 0);

// A numeric address and port as the system wants it.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string text() const;
  bool is_loopback() const;
  std::uint16_t port() const;
};

// Only for numeric addresses and "localhost"; never asks the network.
Result<Endpoint> parse_endpoint(const HostPort& address);

// An absolute URL as configuration writes it: scheme://host[:port][/path].
struct Url {
  std::string scheme;
  std::string host;
  std::uint16_t port = 0;
  std::string path;  // starts with '/', or empty
  bool tls() const { return scheme == "https" || scheme == "mqtts"; }
  // host[:port] for the Host field; the port is left out when it is the scheme's own.
  std::string authority() const;
};

// `schemes` are the accepted ones with their default ports. User names and passwords in a URL are refused: they would
// end up in logs.
struct Scheme {
  std::string_view name;
  std::uint16_t port;
};
Result<Url> parse_url(std::string_view text, const std::vector<Scheme>& schemes);
Result<Url> parse_http_url(std::string_view text);

}  // namespace penstock::net
