// What an account counts, as text that survives the process: version 1 of the format of Checkpoint::state.
//
//   {"v":1,
//    "rates":[["tokens",86400,<full at>]],                          unit, window in seconds
//    "budgets":[["USD","day","UTC",[[<begin>,<end>,<spent>,<held>,<extra>,<alerted>],...]],
//               ["tokens",86400,<alerted>,<held>,[[<time>,<spent>],...]]]}      rolling: its length in seconds
//
// Meters that are shared with other gateways have one more element: [<period>,<charged>,<given back>], the sums this
// gateway knows, so that it does not count again what it has counted.
//
// Times are microseconds since the Unix epoch. Rates of windows shorter than an hour are left out: by the time a
// gateway is back they are full.
#pragma once

#include <string>
#include <vector>

#include "quota/meters.h"

namespace penstock::quota {

// Read, with what was held counted as spent, and rates and rolling periods on the steady clock of this process.
struct Saved {
  struct Share {
    std::int64_t period = -1;
    std::int64_t charged = 0;
    std::int64_t back = 0;
  };
  struct Rate {
    RateLimit::Unit unit{};
    base::Duration window{};
    base::SteadyTime full_at;
    std::optional<Share> share;
  };
  struct Budget {
    BudgetRule rule;  // unit, period, rolling and zone
    std::vector<BudgetPeriod> periods;
    std::vector<std::pair<base::SteadyTime, std::int64_t>> parts;
    std::uint32_t alerted = 0;
    std::optional<Share> share;
  };
  std::vector<Rate> rates;
  std::vector<Budget> budgets;
  bool empty() const { return rates.empty() && budgets.empty(); }
};

// A rate that is worth keeping.
bool durable(const RateLimit& limit);
// Empty when there is nothing to remember. With the lock held.
std::string save(const Meters& meters, const Now& now);
// Errors: data_loss; unimplemented for a newer version. What lies long back is left out.
Result<Saved> read_saved(std::string_view state, const Now& now);
// Into meters that have just been made. With the lock held.
void restore_meters(Meters& meters, const Saved& saved);

// Adds to meters in use what another process of this gateway counted from one state to the next. Meters that are
// `shared` with other gateways hear of it from them. With the lock held.
void add_meters(Meters& meters, const Saved& before, const Saved& after, bool shared, const Now& now);

}  // namespace penstock::quota
