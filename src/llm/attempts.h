// The targets of one call, in the order they are asked.
#pragma once

#include <vector>

#include "http/origin_health.h"
#include "llm/plan.h"

namespace penstock::llm {

// One call's own; the route outlives it.
class Attempts {
 public:
  Attempts(const Route& route, base::SteadyTime now);

  // Whom to ask now; null when nobody is left. `trial` is given up, and taken again when the target is on trial after
  // an ejection. One that another call is trying at this moment waits until the others have failed.
  const Target* next(base::SteadyTime now, http::OriginHealth::Trial& trial);

 private:
  std::vector<const Target*> order_;
  std::size_t first_round_;  // targets; behind them are those that were put off
  std::size_t next_ = 0;
};

}  // namespace penstock::llm
