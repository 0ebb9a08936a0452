// What an account counts, behind its lock.
#pragma once

#include <memory>
#include <vector>

#include "quota/account.h"
#include "quota/book.h"
#include "quota/budget_meter.h"
#include "quota/rate_meter.h"
#include "quota/spin_lock.h"

namespace penstock::quota {

// Rules made ready for counting. Immutable; shared by all accounts with the same rules.
struct Plan {
  explicit Plan(const Rules& rules);
  Rules rules;
  std::vector<BudgetPlan> budgets;
  bool needs_price = false;
};

// What one account has against a call.
struct Refusal {
  Denial::Why why = Denial::Why::rate;
  Account* account = nullptr;
  std::shared_ptr<const Plan> plan;
  std::size_t index = 0;         // of the rate or budget in its plan
  base::Duration retry_after{};  // zero: not known
  std::int64_t amount = 0;       // of the limit or budget, as it is now
  std::int64_t spent = 0;        // of a budget
  std::int64_t asked = 0;
  base::WallMicros renews = 0;
  bool may_wait = false;
};

// The tightest limits of a call's accounts.
struct Tightest {
  std::optional<ShownLimit> requests;
  std::optional<ShownLimit> tokens;
  void look(const RateMeter& meter, const RateLimit& limit, base::SteadyTime now);
};

// What a call holds of one account. Since it was admitted, rules may have come and gone.
struct Claim {
  Ask ask;
  Used raised;  // on top of it
  Now admitted;
  std::uint32_t generation = 0;  // of the account's rules
};

struct Meters {
  // What came with which generation of rules: only what was there when a call was admitted holds something of it.
  struct Rate {
    RateMeter meter;
    std::uint32_t born = 0;
  };
  struct Budget {
    BudgetMeter meter;
    std::uint32_t born = 0;
  };

  SpinLock lock;
  // Read without the lock.
  std::atomic<bool> limited = false;
  std::atomic<bool> needs_price = false;
  // Behind the lock.
  std::uint8_t queue_class = 0;  // the first class that waits here
  std::uint8_t passed = 0;       // calls that went ahead of what waits here
  std::uint32_t generation = 0;
  std::int32_t holds = 0;    // calls that have reserved here
  std::int32_t waiting = 0;  // tickets in the queue of this account
  std::shared_ptr<const Plan> plan;
  std::vector<Rate> rates;
  std::vector<Budget> budgets;

  // --- with the lock held ---
  // Takes other rules; what is still there keeps its state.
  void set_plan(std::shared_ptr<const Plan> fresh);
  std::optional<Refusal> check(const Ask& ask, const Now& now);
  void charge(const Ask& ask, const Now& now, Tightest& tightest);
  // Asks for more of what a call that stands has been granted: charged whatever the limits say.
  void raise(const Claim& claim, const Used& by, const Now& now);
  // Something is used beyond its limit.
  std::optional<Refusal> exceeded(const Now& now);
  void settle(const Claim& claim, const Used& used, const Now& now);
  AccountState state(const Now& now);
};

// For people and programs.
Denial to_denial(const Refusal& refusal, const Now& now);

}  // namespace penstock::quota
