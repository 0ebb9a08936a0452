#include "quota/account.h"

#include "quota/meters.h"

namespace penstock::quota {

Account::Account(std::string id, std::string shown)
    : id_(std::move(id)), shown_(std::move(shown)), meters_(std::make_unique<Meters>()) {}

Account::~Account() = default;

bool Account::limited() const { return meters_->limited.load(std::memory_order_relaxed); }

bool Account::needs_price() const { return meters_->needs_price.load(std::memory_order_relaxed); }

AccountState Account::state(const Now& now) const {
  std::scoped_lock lock(meters_->lock);
  return meters_->state(now);
}

}  // namespace penstock::quota
