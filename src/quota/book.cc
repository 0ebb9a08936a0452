#include "quota/book.h"

#include "quota/book_impl.h"

namespace penstock::quota {

Book::Impl::Impl(Book& of, BookOptions options)
    : book(of),
      waiting(options, [this](const Sorted& of_call, const Ask& ask, const Now& now, Reservation& into, bool head) {
        return take(of_call, ask, now, into, head);
      }) {}

Book::Book(BookOptions options) : impl_(std::make_unique<Impl>(*this, options)) {}

Book::~Book() = default;

std::shared_ptr<const Plan> Book::Impl::plan_of(const Rules& rules) {
  std::weak_ptr<const Plan>& known = plans[to_text(rules)];
  auto plan = known.lock();
  if (!plan) known = plan = std::make_shared<const Plan>(rules);
  return plan;
}

std::shared_ptr<Account> Book::account(std::string_view id, std::string_view shown, const Rules& rules) {
  std::shared_ptr<Account> account;
  bool waited_for = false;
  {
    std::scoped_lock lock(impl_->mutex);
    auto found = impl_->by_id.find(id);
    if (found == impl_->by_id.end()) {
      auto made = impl_->make(std::string(id), std::string(shown));
      std::string_view key = made->id();
      found = impl_->by_id.emplace(key, std::move(made)).first;
    }
    account = found->second;
    auto plan = impl_->plan_of(rules);
    Meters& meters = Meters::of(*account);
    std::scoped_lock meters_lock(meters.lock);
    if (meters.plan != plan) meters.set_plan(std::move(plan));
    waited_for = meters.waiting > 0;
  }
  if (waited_for) impl_->waiting.serve(std::array{account.get()}, std::nullopt);
  return account;
}

void Book::prune() {
  std::scoped_lock lock(impl_->mutex);
  std::erase_if(impl_->by_id, [](auto& entry) {
    Meters& meters = Meters::of(*entry.second);
    std::scoped_lock meters_lock(meters.lock);
    return entry.second.use_count() == 1 && meters.holds == 0 && meters.pins == 0;
  });
  std::erase_if(impl_->plans, [](const auto& entry) { return entry.second.expired(); });
}

Result<void> Book::adjust(std::string_view id, const BudgetRule& rule, std::int64_t amount, const Now& now) {
  std::shared_ptr<Account> account;
  {
    std::scoped_lock lock(impl_->mutex);
    auto found = impl_->by_id.find(id);
    if (found == impl_->by_id.end()) return fail(Errc::not_found, fmt::format("there is no account '{}'", id));
    account = found->second;
  }
  bool known = false;
  {
    Meters& meters = Meters::of(*account);
    std::scoped_lock lock(meters.lock);
    known = meters.adjust(rule, amount, now);
  }
  if (!known) return fail(Errc::not_found, fmt::format("{} has no budget {}", account->shown(), rule.text()));
  impl_->waiting.serve(std::array{account.get()}, now);
  return {};
}

std::unique_ptr<Ticket> Book::wait(std::span<Account* const> accounts, const Ask& ask, const Now& now,
                                   std::function<void()> wake) {
  return impl_->waiting.enter(Sorted(accounts), ask, now, std::move(wake));
}

std::int64_t Book::waiting() const { return impl_->waiting.size(); }

std::vector<std::pair<std::shared_ptr<Account>, AccountState>> Book::list(std::string_view prefix,
                                                                          const Now& now) const {
  std::vector<std::pair<std::shared_ptr<Account>, AccountState>> list;
  {
    std::scoped_lock lock(impl_->mutex);
    for (const auto& [id, account] : impl_->by_id) {
      if (id.starts_with(prefix)) list.emplace_back(account, AccountState{});
    }
  }
  std::ranges::sort(list, {}, [](const auto& entry) -> const std::string& { return entry.first->id(); });
  for (auto& [account, state] : list) state = account->state(now);
  return list;
}

}  // namespace penstock::quota
