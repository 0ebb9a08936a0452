// What one attempt holds on the accounts of its target and the target's provider.
#pragma once

#include <functional>

#include "flow/call.h"
#include "llm/failure.h"
#include "quota/book.h"
#include "rt/wait.h"

namespace penstock::llm {

class TargetHold {
 public:
  TargetHold() = default;
  explicit TargetHold(quota::Reservation reservation)
      : reservation_(std::make_unique<quota::Reservation>(std::move(reservation))) {}
  // Ends it: what is held becomes used. Without it nothing was used but the request.
  void settle(const quota::Used& used, const quota::Now& now);

 private:
  std::unique_ptr<quota::Reservation> reservation_;  // null: nothing is held, as for most targets
};

// For one call: asks the accounts of its targets, and remembers what was denied.
class TargetHolds {
 public:
  // What the call may cost at most with a target; nothing when its price is not known.
  using CostOf = std::function<std::optional<std::int64_t>(const Target& target)>;
  TargetHolds(flow::Call& call, CostOf cost_of) : call_(call), cost_of_(std::move(cost_of)) {}

  // Holds what the call may use; nothing when the target has no limits. Nothing at all after a denial: then it is
  // another target's turn.
  std::optional<TargetHold> take(const Target& target);
  // Nobody could be asked, and some denial may pass: waits for that target's turn, as long as its limits let wait.
  // The target whose turn it is, and its hold; null when there is none.
  rt::Task<const Target*> wait(TargetHold& hold, base::SteadyTime deadline, rt::Cancellation& cancellation);
  // What to tell when nobody could be asked. Only after a denial.
  bool denied() const { return denial_.has_value(); }
  Failure failure() const;

 private:
  void note(const Target& target, quota::Denial denial);
  quota::Ask ask_of(const Target& target, std::span<quota::Account* const> accounts) const;
  flow::Call& call_;
  CostOf cost_of_;
  std::optional<quota::Denial> denial_;  // the one that passes soonest
  const Target* may_wait_ = nullptr;     // its target, where waiting makes sense
};

}  // namespace penstock::llm
