// One connection to a Redis: blocking, every wait bounded but that for a name: it is as long as the system's resolver
// takes. One thread's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ext/shares/redis/redis_address.h"

struct redisContext;
struct redisReply;

namespace penstock::ext {

struct FreeRedisReply {
  void operator()(redisReply* reply) const;
};
using RedisReply = std::unique_ptr<redisReply, FreeRedisReply>;

class RedisConnection {
 public:
  // Looks the name up, connects, says who we are and chooses the database. `timeout` is that of connecting to one
  // address, and of each whole answer, however its bytes come. Errors: unavailable, deadline_exceeded,
  // permission_denied (also: egress policy), failed_precondition.
  static Result<RedisConnection> open(const RedisAddress& address, base::Duration timeout);

  // Queues a command; what is queued goes out with the first reply() asked for.
  void send(const std::vector<std::string_view>& words);
  // The answer of the oldest command without one. One that is an error is an Error here, and the connection goes on;
  // after every other error the connection is of no use any more: broken().
  Result<RedisReply> reply();
  bool broken() const;

 private:
  struct Close {
    void operator()(redisContext* context) const;
  };
  RedisConnection(redisContext* context, base::Duration timeout) : context_(context), timeout_(timeout) {}
  Result<void> log_in(const RedisAddress& address);
  // Null: broken, or errno is ETIMEDOUT.
  redisReply* read_until(base::SteadyTime deadline);
  std::unique_ptr<redisContext, Close> context_;
  base::Duration timeout_;
};

}  // namespace penstock::ext
