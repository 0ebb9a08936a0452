// What of one meter is shared with other gateways.
//
// Two sums that only ever grow are kept in the store for each meter: what was charged and what was given back. So a sum
// that is smaller than it was heard to be says that the store has lost something, and never gives anything back here.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"

namespace penstock::quota {

// How sharing stands, for one decision.
struct Sharing {
  bool on = false;
  std::uint32_t split = 0;  // not 0: another process of this gateway gives out of the same budgets; a number each time
  bool connected = false;
  std::int64_t gateways = 1;
  double slice = 0;
  base::SteadyTime heard_at = base::SteadyTime::min();
  std::uint32_t losses = 0;  // of the store, so far
  base::SteadyTime lost_at;  // the last time
  base::WallMicros lost_wall = 0;
};

struct MeterShare {
  struct Sum {
    std::int64_t untold = 0;  // of ours
    std::int64_t known = 0;   // of all gateways, without the untold
    // What others added since, when `told` of ours is counted in `sum`.
    std::int64_t hear(std::int64_t told, std::int64_t sum);
  };

  std::uint64_t number = 0;  // among all shared meters; 0: none yet
  std::int64_t period = -1;  // begin of the budget's period, or number of the window since 1970, which the sums are of
  Sum charged;
  Sum back;
  base::SteadyTime heard_at = base::SteadyTime::min();
  std::uint32_t loss = 0;  // after which `floor` was set; 0: not for this period
  std::int64_t floor = 0;  // what has to remain for the others
  std::int64_t ahead = 0;  // of a rate: charged for the others while the store was lost, and not heard of yet

  // Given out here and not told: what the others may give out a second time.
  std::int64_t untold() const { return charged.untold - back.untold; }
  // The sums of a new window begin; what was not told is told there.
  void enter(std::int64_t window);
  // What was given out here longer ago than a rate's window is of no interest to the others.
  void forget_beyond(std::int64_t amount) { charged.untold -= untold() > amount ? untold() - amount : 0; }
  void count(std::int64_t units) { (units > 0 ? charged : back).untold += units > 0 ? units : -units; }
  // While connected: there is room for so much before it is told. One call always has room when all has been told.
  bool has_room(std::int64_t units, std::int64_t amount, const Sharing& sharing) const;
  // Half of the room is used.
  bool wants_exchange(std::int64_t amount, const Sharing& sharing) const;
  // Of a budget of which `free` is left: what has to remain for the others while the store is lost. Of a period that
  // began since, all but one part; of one whose sums were heard until the loss, all but one part of what was left less
  // the slices that others may have given out meanwhile; of one that was not asked for then, all but a slice.
  std::int64_t others(std::int64_t free, std::int64_t amount, bool began_since, const Sharing& sharing);
};

}  // namespace penstock::quota
