// One holder of limits and budgets: a key, a team, a model, a target, an address.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "quota/rules.h"

namespace penstock::quota {

// Both clocks at one moment: rates go by the steady one, calendar periods by the other.
struct Now {
  base::SteadyTime steady;
  base::WallMicros wall = 0;
};

// A limit as response headers show it.
struct ShownLimit {
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  base::Duration reset{};  // until all of it is there again
};

// A budget as it stands.
struct BudgetState {
  BudgetRule rule;
  std::int64_t spent = 0;
  std::int64_t held = 0;        // reserved by calls under way
  base::WallMicros since = 0;   // begin of the period
  base::WallMicros renews = 0;  // its end; of a rolling one: when some of what was spent counts no more; 0: never
  std::int64_t extra = 0;       // given on top of the rule's amount for this period, or taken off
  std::int64_t amount() const { return rule.amount + extra; }
  std::int64_t remaining() const { return std::max<std::int64_t>(0, amount() - spent - held); }
};

// A rate as it stands.
struct RateState {
  RateLimit rule;
  std::int64_t remaining = 0;
  base::Duration reset{};
};

struct AccountState {
  std::vector<RateState> rates;
  std::vector<BudgetState> budgets;
  std::int64_t concurrent = 0;
  std::int64_t waiting = 0;
};

class Book;
struct Meters;

// Shared by all cores; made and kept by the Book under an id. Everything that changes is behind one lock of its own,
// which is held for some dozens of nanoseconds.
class Account {
 public:
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account();

  // Unique: "key:<id or name>", "team:<name>", "model:<name>", "target:<provider/model>", "provider:<name>",
  // "address:<address>".
  const std::string& id() const { return id_; }
  // As errors name it: "the API key 'app'", "the team 'research'".
  const std::string& shown() const { return shown_; }
  // It has some limit or budget: others need not be asked.
  bool limited() const;
  // Some budget here, hard, counts money: calls whose price is unknown cannot be let through.
  bool needs_price() const;
  // Some hard budget here, of money or tokens: what a call may use at most has to be known before it goes out.
  bool needs_bound() const;
  // Some limit or budget here depends on tokens: they are worth counting well.
  bool counts_tokens() const;
  AccountState state(const Now& now) const;

 private:
  friend class Book;
  friend struct Meters;
  Account(std::string id, std::string shown);
  const std::string id_;
  const std::string shown_;
  std::unique_ptr<Meters> meters_;
};

}  // namespace penstock::quota
