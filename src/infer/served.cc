#include "infer/served.h"

namespace penstock::infer {

void RunCost::record(std::size_t elements, base::Duration time, base::Duration limit) {
  std::int64_t taken = std::max<std::int64_t>(time.count(), 1);
  std::size_t proven = proven_elements_.load(std::memory_order_relaxed);
  std::int64_t average = average_ns_.load(std::memory_order_relaxed);
  if (elements > proven && average != kUnmeasured && taken >= limit.count()) return;
  // One interrupted run must not send a short model to the pool for long: its weight is bounded.
  if (average != kUnmeasured) taken = average + (std::min(taken, 2 * limit.count()) - average) / 16;
  average_ns_.store(taken, std::memory_order_relaxed);
  // Two threads may lose one of two updates: the next run repairs it.
  if (elements > proven) proven_elements_.store(elements, std::memory_order_relaxed);
}

bool Places::try_enter(std::size_t limit) {
  std::size_t inside = inside_.load();
  do {
    if (limit > 0 && inside >= limit) return false;
  } while (!inside_.compare_exchange_weak(inside, inside + 1));
  return true;
}

bool Company::alone(base::SteadyTime turn, base::SteadyTime now, bool others, base::Duration wait) {
  std::int64_t this_turn = turn.time_since_epoch().count();
  std::int64_t at = now.time_since_epoch().count();
  if (last_turn_.exchange(this_turn, std::memory_order_relaxed) == this_turn || others) {
    last_company_.store(at, std::memory_order_relaxed);
    return false;
  }
  return at - last_company_.load(std::memory_order_relaxed) > wait.count();
}

}  // namespace penstock::infer
