// Where to listen and whom to connect to.
#pragma once

#include <sys/socket.h>

#include <array>
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

// A numeric address and port, or a local socket, as the system wants it.
struct Endpoint {
  sockaddr_storage storage{};
  socklen_t length = 0;  // 0: a local socket without a name, as clients have, or not known
  // 127.0.0.1:8080, [::1]:0, unix:/run/x.sock; "unix" for one without a name.
  std::string text() const;
  // Reached from this machine only: also every local socket.
  bool is_loopback() const;
  bool is_local_socket() const;
  // Of a local socket; empty for others.
  std::string path() const;
  std::uint16_t port() const;  // 0 for a local socket
  // The address alone, IPv4 as ::ffff:a.b.c.d; all zero for a local socket.
  std::array<std::uint8_t, 16> address() const;
  bool operator==(const Endpoint& other) const;
};

// Only for numeric addresses and "localhost"; never asks the network.
Result<Endpoint> parse_endpoint(const HostPort& address);
// A local socket by the path of its file. Errors: invalid_argument, when it is empty or longer than the system takes.
Result<Endpoint> local_endpoint(std::string_view path);
// What a listener is written as: "127.0.0.1:8080", "[::1]:0", "localhost:80", "unix:/run/x.sock".
Result<Endpoint> parse_listen_address(std::string_view text);

// An absolute URL as configuration writes it: scheme://host[:port][/path].
struct Url {
  std::string scheme;
  std::string host;
  std::uint16_t port = 0;
  std::string path;    // starts with '/', or empty
  std::string socket;  // the file of a local socket to connect to instead of host and port; empty: these
  bool tls() const { return scheme == "https" || scheme == "mqtts"; }
  // host[:port] for the Host field; the port is left out when it is the scheme's own.
  std::string authority() const;
  // Whom it reaches, for people: scheme, and authority or local socket.
  std::string place() const;
};

// `schemes` are the accepted ones with their default ports. User names and passwords in a URL are refused: they would
// end up in logs.
struct Scheme {
  std::string_view name;
  std::uint16_t port;
};
Result<Url> parse_url(std::string_view text, const std::vector<Scheme>& schemes);
// http:// and https://, and unix:FILE[:PATH]: plain HTTP over a local socket, where the host is called localhost.
Result<Url> parse_http_url(std::string_view text);

}  // namespace penstock::net
