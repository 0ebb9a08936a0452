#include "config/timeout.h"

namespace penstock::config {

base::Duration read_timeout(Map& map, std::string_view key, base::Duration fallback) {
  base::Duration value = map.duration(key, fallback);
  if (value >= std::chrono::milliseconds(1) && value <= std::chrono::hours(24)) return value;
  map.get(key).problem("between 1ms and 24h is possible");
  return fallback;
}

}  // namespace penstock::config
