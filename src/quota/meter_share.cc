#include "quota/meter_share.h"

#include <algorithm>

namespace penstock::quota {

std::int64_t MeterShare::Sum::hear(std::int64_t told, std::int64_t sum) {
  untold -= told;
  known += told;
  std::int64_t others = std::max<std::int64_t>(sum - known, 0);
  known += others;
  return others;
}

void MeterShare::enter(std::int64_t window) {
  if (period == window) return;
  period = window;
  charged.known = back.known = 0;
}

bool MeterShare::has_room(std::int64_t units, std::int64_t amount, const Sharing& sharing) const {
  std::int64_t taken = untold();
  return units <= 0 || taken <= 0 || static_cast<double>(taken + units) <= sharing.slice * static_cast<double>(amount);
}

bool MeterShare::wants_exchange(std::int64_t amount, const Sharing& sharing) const {
  return untold() > 0 && static_cast<double>(untold()) * 2 >= sharing.slice * static_cast<double>(amount);
}

std::int64_t MeterShare::others(std::int64_t free, std::int64_t amount, bool began_since, const Sharing& sharing) {
  // Some exchanges: more than passes between the last answer and the moment a loss is noticed.
  constexpr base::Duration kLately = std::chrono::seconds(5);
  if (sharing.connected) return 0;
  if (loss == sharing.losses) return floor;
  loss = sharing.losses;
  auto slice = static_cast<std::int64_t>(sharing.slice * static_cast<double>(amount));
  std::int64_t left = std::max<std::int64_t>(free, 0);
  std::int64_t ours = left / sharing.gateways;
  if (!began_since) {
    bool heard = heard_at != base::SteadyTime::min() && sharing.lost_at - heard_at < kLately;
    ours = heard ? std::max<std::int64_t>(left - (sharing.gateways - 1) * slice, 0) / sharing.gateways
                 : std::min(ours, slice);
  }
  floor = left - ours;
  return floor;
}

}  // namespace penstock::quota
