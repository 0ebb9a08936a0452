// How long bytes may take at a rate.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace penstock::http {

inline base::Duration time_at_rate(std::uint64_t bytes, std::uint64_t per_second) {
  return base::Duration(std::chrono::microseconds(bytes * 1'000'000 / per_second));
}

}  // namespace penstock::http
