// What an account counts, behind its lock.
#pragma once

#include <memory>
#include <vector>

#include "quota/account.h"
#include "quota/book.h"
#include "quota/budget_meter.h"
#include "quota/meter_share.h"
#include "quota/rate_meter.h"
#include "quota/spin_lock.h"

namespace penstock::quota {

// Of one call: beyond any budget.
constexpr std::int64_t kAmountMax = 1'000'000'000'000'000;

// What an account asks of those who prepare calls for it.
enum Need : std::uint8_t { kLimited = 1, kNeedsPrice = 2, kNeedsBound = 4, kCountsTokens = 8 };

// Rules made ready for counting. Immutable; shared by all accounts with the same rules.
struct Plan {
  explicit Plan(const Rules& rules);
  Rules rules;
  std::vector<BudgetPlan> budgets;
  std::uint8_t needs = 0;  // of Need
  bool durable = false;    // something here is worth keeping over a restart
};

// What one account has against a call.
struct Refusal {
  Denial::Why why = Denial::Why::rate;
  Account* account = nullptr;
  std::shared_ptr<const Plan> plan;
  std::size_t index = 0;         // of the rate or budget in its plan
  base::Duration retry_after{};  // zero: not known
  base::Duration again{};        // when time alone may have changed something; zero: never
  std::int64_t amount = 0;       // of the limit or budget, as it is now
  std::int64_t spent = 0;        // of a budget
  std::int64_t asked = 0;
  base::WallMicros renews = 0;
  bool may_wait = false;
  bool queued = false;  // it would fit, but others wait already
  bool sliced = false;  // it may fit, but the other gateways have to hear first of what was given out here
  bool alone = false;   // it may fit, but the other gateways cannot be reached
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
    std::unique_ptr<MeterShare> share;
    void charge(base::SteadyTime now, std::int64_t units, const RateLimit& limit);
  };
  struct Budget {
    BudgetMeter meter;
    std::uint32_t born = 0;
    std::unique_ptr<MeterShare> share;
    std::uint32_t split = 0;  // the last one (Sharing::split), the period it was in, and what is left to the other
    base::WallMicros split_period = 0;
    std::int64_t split_off = 0;
    // What has to remain for the other process of this gateway: half of what there was at the split.
    std::int64_t other_half(const BudgetPlan& plan, std::uint32_t number);
    void share_out(std::int64_t units);  // of the present period
    // What has to remain for the other gateways.
    std::int64_t others(const BudgetPlan& plan, const Sharing& sharing);
  };

  // So many calls may go ahead of the one that has waited longest.
  static constexpr std::uint8_t kPassedMax = 7;

  static Meters& of(const Account& account) { return *account.meters_; }
  static std::shared_ptr<Account> make_account(std::string id, std::string shown);

  SpinLock lock;
  // Read without the lock.
  std::atomic<std::uint8_t> needs = 0;  // of Need
  // Behind the lock.
  std::uint8_t queue_class = 0;  // the first class that waits here
  std::uint8_t passed = 0;       // calls that went ahead of the one that has waited longest here
  Denial::Why queue_why{};       // why the last one joined
  bool kept = false;             // over restarts, and shared with other gateways
  bool changed = false;          // and in the list of those
  bool hot = false;              // used lately, and in the list of those
  std::uint32_t generation = 0;
  std::int32_t holds = 0;    // calls that have reserved here
  std::int32_t waiting = 0;  // calls in the queue of this account
  std::int32_t pins = 0;     // calls of this account that wait, wherever
  Account* next_changed = nullptr;
  Account* next_shared = nullptr;
  base::SteadyTime used_at;  // while shared
  std::shared_ptr<const Plan> plan;
  std::vector<Rate> rates;
  std::vector<Budget> budgets;

  // --- with the lock held ---
  // Takes other rules; what is still there keeps its state.
  void set_plan(std::shared_ptr<const Plan> fresh);
  // `head`: those that wait do not keep it.
  std::optional<Refusal> check(const Ask& ask, const Now& now, const Sharing& sharing, bool head);
  void charge(const Ask& ask, const Now& now, const Sharing& sharing, bool head, Tightest& tightest);
  // The others should soon hear what was given out here.
  bool wants_exchange(const Sharing& sharing) const;
  // Asks for more of what a call that stands has been granted: charged whatever the limits say.
  void raise(const Claim& claim, const Used& by, const Now& now);
  // Something is used beyond its limit.
  std::optional<Refusal> exceeded(const Now& now);
  void settle(const Claim& claim, const Used& used, const Now& now);
  // What other gateways used of a shared meter.
  struct SharedPlace {
    std::uint64_t number = 0;
    std::int64_t period = 0;
    bool back = false;
  };
  void hear(const SharedPlace& place, const SharedSum& sum, const Now& now);
  // Adds what was reached and not yet said.
  void take_alerts(const Account& account, const Now& now, std::vector<BudgetAlert>& alerts);
  // As if it were new.
  bool untouched(base::SteadyTime now) const;
  // False: there is no such budget.
  bool adjust(const BudgetRule& rule, std::int64_t amount, const Now& now);
  AccountState state(const Now& now);

 private:
  void share_meters();
  std::optional<Refusal> check_slices(const Ask& ask, const Sharing& sharing);
  std::optional<Refusal> check_limits(const Ask& ask, const Now& now, const Sharing& sharing) const;
  std::optional<Refusal> check_budgets(const Ask& ask, const Now& now, const Sharing& sharing);
};

// For people and programs.
Denial to_denial(const Refusal& refusal, const Now& now);

}  // namespace penstock::quota
