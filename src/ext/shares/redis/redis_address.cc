#include "ext/shares/redis/redis_address.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "net/address.h"

namespace penstock::ext {
namespace {

constexpr std::string_view kForms = "redis://host:6379/0 or unix:/run/redis/redis.sock";

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// RFC 3986 section 2.1.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

Result<void> read_credentials(std::string_view text, RedisAddress& address) {
  const std::size_t colon = text.find(':');
  auto user = percent_decoded(text.substr(0, colon));
  auto password = colon == text.npos ? std::string() : percent_decoded(text.substr(colon + 1));
  if (!user || !password) {
    return fail(Errc::invalid_argument,
                "a % in the user or the password of the URL is not followed by two hex digits; write % as %25, or put "
                "the password into `password:`");
  }
  address.user = std::move(*user);
  address.password = base::Secret(std::move(*password));
  return {};
}

Result<void> read_database(std::string_view text, RedisAddress& address) {
  if (text.empty()) return {};
  auto database = number_of(text);
  if (!database) return fail(Errc::invalid_argument, fmt::format("the database is a number, as in {}", kForms));
  address.database = *database;
  return {};
}

Result<RedisAddress> parse_local(std::string_view text) {
  RedisAddress address;
  const std::size_t query = text.find('?');
  if (query != text.npos) {
    const std::string_view rest = text.substr(query + 1);
    if (!rest.starts_with("db="))
      return fail(Errc::invalid_argument, "after the file of the socket only ?db=N is possible");
    if (auto read = read_database(rest.substr(3), address); !read) return std::unexpected(read.error());
  }
  auto endpoint = net::local_endpoint(text.substr(0, query));
  if (!endpoint) return std::unexpected(endpoint.error());
  address.socket = endpoint->path();
  return address;
}

}  // namespace

std::string RedisAddress::place() const {
  if (!socket.empty()) return fmt::format("unix:{}{}", socket, database == 0 ? "" : fmt::format("?db={}", database));
  return fmt::format("redis://{}/{}", net::HostPort{host, port}.text(), database);
}

Result<RedisAddress> parse_redis_address(std::string_view text) {
  constexpr std::string_view kScheme = "redis://";
  if (text.starts_with("unix:")) return parse_local(text.substr(5));
  if (text.starts_with("rediss://")) {
    return fail(Errc::unimplemented,
                "TLS to Redis is not built in: let stunnel or a mesh proxy on this machine carry it, and name its "
                "address as redis://127.0.0.1:6379");
  }
  if (!text.starts_with(kScheme)) return fail(Errc::invalid_argument, fmt::format("write it as {}", kForms));
  text.remove_prefix(kScheme.size());
  RedisAddress address;
  std::size_t slash = text.find('/');
  if (slash != text.npos) {
    if (auto read = read_database(text.substr(slash + 1), address); !read) return std::unexpected(read.error());
    text = text.substr(0, slash);
  }
  if (const std::size_t at = text.rfind('@'); at != text.npos) {
    if (auto read = read_credentials(text.substr(0, at), address); !read) return std::unexpected(read.error());
    text.remove_prefix(at + 1);
  }
  auto host = net::parse_host_port(text, 6379);
  if (!host || host->host.empty()) {
    return fail(Errc::invalid_argument, fmt::format("host and port cannot be read; write it as {}", kForms));
  }
  address.host = host->host;
  address.port = host->port;
  return address;
}

}  // namespace penstock::ext
