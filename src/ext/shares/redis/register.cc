#include "base/registry.h"
#include "ext/shares/redis/redis_share.h"

namespace penstock::ext {

void register_shares_redis(base::Registry& registry) { registry.add("redis", quota::ShareFactory{parse_redis_share}); }

}  // namespace penstock::ext
