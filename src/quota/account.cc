#include "quota/account.h"

#include "quota/meters.h"

namespace penstock::quota {

Account::Account(std::string id, std::string shown)
    : id_(std::move(id)), shown_(std::move(shown)), meters_(std::make_unique<Meters>()) {}

std::shared_ptr<Account> Meters::make_account(std::string id, std::string shown) {
  return std::shared_ptr<Account>(new Account(std::move(id), std::move(shown)));
}

Account::~Account() = default;

bool Account::limited() const { return (meters_->needs.load(std::memory_order_relaxed) & kLimited) != 0; }

bool Account::needs_price() const { return (meters_->needs.load(std::memory_order_relaxed) & kNeedsPrice) != 0; }

bool Account::needs_bound() const { return (meters_->needs.load(std::memory_order_relaxed) & kNeedsBound) != 0; }

bool Account::counts_tokens() const { return (meters_->needs.load(std::memory_order_relaxed) & kCountsTokens) != 0; }

AccountState Account::state(const Now& now) const {
  std::scoped_lock lock(meters_->lock);
  return meters_->state(now);
}

}  // namespace penstock::quota
