#include "llm/attempts.h"

#include "llm/failure.h"

namespace penstock::llm {

Attempts::Attempts(const Route& route, base::SteadyTime now)
    : order_(order_of_attempts(route, now, random_number)), first_round_(order_.size()) {}

const Target* Attempts::next(base::SteadyTime now, http::OriginHealth::Trial& trial) {
  trial = http::OriginHealth::Trial();
  while (next_ < order_.size()) {
    const Target* target = order_[next_++];
    http::OriginHealth& health = target->provider->origin()->state->health;
    if (!health.on_trial(now)) return target;
    trial = health.begin_trial();
    if (trial || next_ > first_round_) return target;
    order_.push_back(target);
  }
  return nullptr;
}

}  // namespace penstock::llm
