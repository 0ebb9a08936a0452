#include "quota/book.h"

#include "quota/book_impl.h"

namespace penstock::quota {

Book::Book(BookOptions options) : impl_(std::make_unique<Impl>(options)) {}

Book::~Book() = default;

std::shared_ptr<const Plan> Book::Impl::plan_of(const Rules& rules) {
  std::weak_ptr<const Plan>& known = plans[to_text(rules)];
  auto plan = known.lock();
  if (!plan) known = plan = std::make_shared<const Plan>(rules);
  return plan;
}

std::shared_ptr<Account> Book::account(std::string_view id, std::string_view shown, const Rules& rules) {
  std::scoped_lock lock(impl_->mutex);
  auto found = impl_->accounts.find(id);
  if (found == impl_->accounts.end()) {
    auto made = impl_->make(std::string(id), std::string(shown));
    std::string_view key = made->id();
    found = impl_->accounts.emplace(key, std::move(made)).first;
  }
  auto plan = impl_->plan_of(rules);
  Meters& meters = Impl::meters(*found->second);
  std::scoped_lock meters_lock(meters.lock);
  if (meters.plan != plan) meters.set_plan(std::move(plan));
  return found->second;
}

void Book::prune() {
  std::scoped_lock lock(impl_->mutex);
  std::erase_if(impl_->accounts, [](auto& entry) {
    Meters& meters = Impl::meters(*entry.second);
    std::scoped_lock meters_lock(meters.lock);
    return entry.second.use_count() == 1 && meters.holds == 0 && meters.waiting == 0;
  });
  std::erase_if(impl_->plans, [](const auto& entry) { return entry.second.expired(); });
}

Result<void> Book::adjust(std::string_view account, const BudgetRule& rule, std::int64_t amount, const Now& now) {
  std::scoped_lock lock(impl_->mutex);
  auto found = impl_->accounts.find(account);
  if (found == impl_->accounts.end()) return fail(Errc::not_found, fmt::format("there is no account '{}'", account));
  Meters& meters = Impl::meters(*found->second);
  std::scoped_lock meters_lock(meters.lock);
  for (std::size_t i = 0; i < meters.budgets.size(); ++i) {
    const BudgetPlan& plan = meters.plan->budgets[i];
    if (plan.rule != rule) continue;
    meters.budgets[i].meter.advance(plan, now);
    meters.budgets[i].meter.give(amount);
    return {};
  }
  return fail(Errc::not_found, fmt::format("{} has no budget {}", found->second->shown(), rule.text()));
}

std::vector<std::pair<std::shared_ptr<Account>, AccountState>> Book::list(std::string_view prefix,
                                                                          const Now& now) const {
  std::vector<std::pair<std::shared_ptr<Account>, AccountState>> list;
  {
    std::scoped_lock lock(impl_->mutex);
    for (const auto& [id, account] : impl_->accounts) {
      if (id.starts_with(prefix)) list.emplace_back(account, AccountState{});
    }
  }
  std::ranges::sort(list, {}, [](const auto& entry) -> const std::string& { return entry.first->id(); });
  for (auto& [account, state] : list) state = account->state(now);
  return list;
}

}  // namespace penstock::quota
