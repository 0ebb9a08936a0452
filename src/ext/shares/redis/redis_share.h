// Limits, budgets and stored keys shared through a Redis or a Valkey. See docs/adr/0027.
#pragma once

#include <optional>

#include "ext/shares/redis/redis_connection.h"
#include "quota/share.h"

namespace penstock::ext {

struct RedisShareOptions {
  RedisAddress address;
  std::string prefix = "penstock";  // of all keys; in braces, so that a cluster keeps them together
  base::Duration timeout = std::chrono::milliseconds(500);
  std::string gateway;  // unique
  const base::Clock* clock = &base::system_clock();
};

class RedisShare : public quota::Share {
 public:
  explicit RedisShare(RedisShareOptions options) : options_(std::move(options)) {}

  Result<quota::ShareAnswer> exchange(const quota::ShareBatch& batch) override;
  Result<void> put(std::span<const quota::SharedRecord> records) override;
  Result<quota::SharedRecords> changes(std::int64_t since, std::size_t most) override;
  Result<std::string> first(std::string_view name, std::string_view mine) override;
  void leave() override;

 private:
  struct Life {
    std::string token;  // empty: none was seen
    std::int64_t turns = 0;
  };
  Result<void> connect();
  void send_part(const quota::ShareBatch& batch, std::size_t part, std::string_view new_token);
  Result<void> read_part(const redisReply& reply, std::size_t part, const quota::ShareBatch& batch,
                         quota::ShareAnswer& answer);
  // Warns when the store's clock is far from ours, which has gone on since `begun`.
  void compare_clocks(base::WallMicros begun, base::WallMicros theirs);
  // The answer to what was sent last; without a connection worth keeping after an error.
  Result<RedisReply> reply();
  std::string key(std::string_view name) const;

  RedisShareOptions options_;
  std::optional<RedisConnection> connection_;
  std::string exchange_sha_, put_sha_, changes_sha_;
  Life life_;
  bool clocks_apart_ = false;  // and that was said
};

// `redis`, `user`, `password`, `prefix`, `timeout` of `shared:`.
quota::ShareParts parse_redis_share(config::Map& map);

}  // namespace penstock::ext
