#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace penstock::net {
namespace {

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  unsigned port = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (ec != std::errc{} || end != text.data() + text.size() || port > 65535) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' has no valid port; write host:port, for example 127.0.0.1:8080", whole));
  }
  return static_cast<std::uint16_t>(port);
}

// "0x7f.1", "2130706433", "127.1": some resolvers take these for addresses, others for names (WHATWG URL, "ends in a
// number"). Nobody shall have to guess.
bool looks_numeric(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string_view last = host.substr(host.rfind('.') + 1);
  bool digits = !last.empty() && last.find_first_not_of("0123456789") == std::string_view::npos;
  return digits || (last.size() > 1 && last[0] == '0' && (last[1] == 'x' || last[1] == 'X'));
}

// Without slashes at its end.
Result<std::string> parse_path(std::string_view path, std::string_view whole) {
  while (path.ends_with('/')) path.remove_suffix(1);
  for (char c : path) {
    if (c <= ' ' || c == 0x7f || c == '#')
      return fail(Errc::invalid_argument, fmt::format("'{}' has a character no URL path has", whole));
  }
  return std::string(path);
}

}  // namespace

std::string HostPort::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Result<HostPort> parse_host_port(std::string_view text, std::uint16_t default_port) {
  HostPort result;
  std::string_view rest;
  if (text.starts_with('[')) {
    std::size_t close = text.find(']');
    if (close == std::string_view::npos)
      return fail(Errc::invalid_argument, fmt::format("'{}' lacks the closing ]", text));
    result.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else {
    std::size_t colon = text.rfind(':');
    if (colon != std::string_view::npos && text.find(':') != colon) {
      return fail(Errc::invalid_argument, fmt::format("'{}': write IPv6 addresses in brackets, [::1]:8080", text));
    }
    result.host = text.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  if (result.host.empty())
    return fail(Errc::invalid_argument, fmt::format("'{}' names no host; write host:port", text));
  if (rest.empty() && default_port != 0) {
    result.port = default_port;
    return result;
  }
  auto port = parse_port(rest.starts_with(':') ? rest.substr(1) : std::string_view(), text);
  if (!port) return std::unexpected(port.error());
  result.port = *port;
  return result;
}

std::string Endpoint::text() const {
  if (is_local_socket()) return path().empty() ? "unix" : "unix:" + path();
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, buffer.data(), buffer.size());
    return fmt::format("{}:{}", buffer.data(), ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
  inet_ntop(AF_INET6, &v6.sin6_addr, buffer.data(), buffer.size());
  return fmt::format("[{}]:{}", buffer.data(), ntohs(v6.sin6_port));
}

bool Endpoint::is_local_socket() const { return storage.ss_family != AF_INET && storage.ss_family != AF_INET6; }

std::string Endpoint::path() const {
  constexpr std::size_t kBegin = offsetof(sockaddr_un, sun_path);
  if (!is_local_socket() || length <= kBegin) return {};
  const char* begin = reinterpret_cast<const sockaddr_un&>(storage).sun_path;
  return std::string(begin, ::strnlen(begin, length - kBegin));
}

bool Endpoint::is_loopback() const {
  if (is_local_socket()) return true;
  if (storage.ss_family == AF_INET) {
    return (ntohl(reinterpret_cast<const sockaddr_in&>(storage).sin_addr.s_addr) >> 24U) == 127;
  }
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr);
}

std::uint16_t Endpoint::port() const {
  if (is_local_socket()) return 0;
  return storage.ss_family == AF_INET ? ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port)
                                      : ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
}

std::array<std::uint8_t, 16> Endpoint::address() const {
  std::array<std::uint8_t, 16> bytes{};
  if (storage.ss_family == AF_INET) {
    bytes[10] = bytes[11] = 0xff;
    std::memcpy(&bytes[12], &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, 4);
  } else if (storage.ss_family == AF_INET6) {
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, 16);
  }
  return bytes;
}

bool Endpoint::operator==(const Endpoint& other) const {
  if (storage.ss_family != other.storage.ss_family) return false;
  return is_local_socket() ? path() == other.path() : address() == other.address() && port() == other.port();
}

Result<Endpoint> local_endpoint(std::string_view path) {
  Endpoint endpoint;
  auto& local = reinterpret_cast<sockaddr_un&>(endpoint.storage);
  if (path.empty()) return fail(Errc::invalid_argument, "`unix:` is followed by the path of a socket's file");
  if (path.size() >= sizeof local.sun_path || path.find('\0') != std::string_view::npos) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is too long for a socket's file: {} bytes are possible",
                                                    path.substr(0, 120), sizeof local.sun_path - 1));
  }
  local.sun_family = AF_UNIX;
  path.copy(local.sun_path, path.size());
  endpoint.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return endpoint;
}

Result<Endpoint> parse_listen_address(std::string_view text) {
  constexpr std::string_view kLocal = "unix:";
  if (text.starts_with(kLocal)) return local_endpoint(text.substr(kLocal.size()));
  auto address = parse_host_port(text);
  if (!address) return std::unexpected(address.error());
  return parse_endpoint(*address);
}

Result<Endpoint> parse_endpoint(const HostPort& address) {
  Endpoint endpoint;
  std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  auto& v4 = reinterpret_cast<sockaddr_in&>(endpoint.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    endpoint.length = sizeof(sockaddr_in);
    return endpoint;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(endpoint.storage);
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    endpoint.length = sizeof(sockaddr_in6);
    return endpoint;
  }
  return fail(Errc::invalid_argument, fmt::format("'{}' is not a numeric address", address.host));
}

std::string Url::authority() const {
  bool own = (scheme == "http" && port == 80) || (scheme == "https" && port == 443);
  std::string name = host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  return own ? name : fmt::format("{}:{}", name, port);
}

Result<Url> parse_url(std::string_view text, const std::vector<Scheme>& schemes) {
  Url url;
  std::size_t mark = text.find("://");
  const Scheme* scheme = nullptr;
  for (const Scheme& known : schemes) {
    if (mark != std::string_view::npos && text.substr(0, mark) == known.name) scheme = &known;
  }
  if (scheme == nullptr) {
    std::string names;
    for (const Scheme& known : schemes)
      names += fmt::format("{}{}://host:port", names.empty() ? "" : " or ", known.name);
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is not a URL this accepts; write {}", text.substr(0, 40), names));
  }
  url.scheme = scheme->name;
  std::string_view rest = text.substr(mark + 3);
  std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != std::string_view::npos) {
    return fail(Errc::invalid_argument, "user names and passwords do not belong in a URL; use the keys made for them");
  }
  auto address = parse_host_port(authority, scheme->port);
  if (!address) return std::unexpected(address.error());
  if (looks_numeric(address->host) && !parse_endpoint({address->host, 0})) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is neither a name nor an address; write the four decimal "
                                                    "numbers of an IPv4 address, for example 127.0.0.1",
                                                    address->host));
  }
  url.host = address->host;
  url.port = address->port;
  auto path = parse_path(slash == std::string_view::npos ? std::string_view() : rest.substr(slash), text);
  if (!path) return std::unexpected(path.error());
  url.path = std::move(*path);
  return url;
}

std::string Url::place() const {
  return socket.empty() ? fmt::format("{}://{}", scheme, authority()) : "unix:" + socket;
}

Result<Url> parse_http_url(std::string_view text) {
  constexpr std::string_view kLocal = "unix:";
  if (!text.starts_with(kLocal)) return parse_url(text, {{"http", 80}, {"https", 443}});
  std::string_view rest = text.substr(kLocal.size());
  std::size_t colon = rest.find(':');
  Url url;
  url.scheme = "http";
  url.host = "localhost";
  url.port = 80;
  url.socket = rest.substr(0, colon);
  if (auto endpoint = local_endpoint(url.socket); !endpoint) return std::unexpected(endpoint.error());
  std::string_view tail = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  if (!tail.empty() && !tail.starts_with('/'))
    return fail(Errc::invalid_argument, fmt::format("'{}': a path begins with /, as in unix:/run/x.sock:/v1", text));
  auto path = parse_path(tail, text);
  if (!path) return std::unexpected(path.error());
  url.path = std::move(*path);
  return url;
}

}  // namespace penstock::net
