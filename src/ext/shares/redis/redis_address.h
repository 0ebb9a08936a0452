// Where a Redis is and who we are there, as configuration says it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace penstock::ext {

struct RedisAddress {
  std::string host;
  std::uint16_t port = 6379;
  std::string socket;  // the file of a local socket instead of host and port
  int database = 0;
  std::string user;
  base::Secret password;
  // For people: redis://host:6379/0 or unix:/run/redis.sock, nothing of user and password.
  std::string place() const;
};

// redis://[[user]:password@]host[:6379][/database] and unix:FILE[?db=N]. User and password are percent-encoded.
// Errors, which never repeat the text: invalid_argument; unimplemented for rediss://.
Result<RedisAddress> parse_redis_address(std::string_view text);

}  // namespace penstock::ext
