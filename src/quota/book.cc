#include "quota/book.h"

#include "quota/book_impl.h"

namespace penstock::quota {

Book::Impl::Impl(Book& of, BookOptions options)
    : book(of),
      waiting(
          options,
          [this](const Sorted& of_call, const Ask& ask, const Now& now, Reservation& into, bool head) {
            return take(of_call, ask, now, into, head);
          },
          [this] { tell_exchange(); }),
      addresses(options.addresses_max) {}

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
    decltype(impl_->restored)::node_type restored;
    auto found = impl_->by_id.find(id);
    if (found == impl_->by_id.end()) {
      auto made = Meters::make_account(std::string(id), std::string(shown));
      std::string_view key = made->id();
      found = impl_->by_id.emplace(key, std::move(made)).first;
      restored = impl_->restored.extract(std::string(id));
    }
    account = found->second;
    auto plan = impl_->plan_of(rules);
    Meters& meters = Meters::of(*account);
    std::scoped_lock meters_lock(meters.lock);
    meters.kept = true;
    if (meters.plan != plan) meters.set_plan(std::move(plan));
    if (restored) restore_meters(meters, restored.mapped());
    waited_for = meters.waiting > 0;
  }
  if (waited_for) impl_->waiting.serve(std::array{account.get()}, std::nullopt);
  return account;
}

void Book::prune() {
  std::scoped_lock lock(impl_->mutex);
  std::erase_if(impl_->by_id, [this](auto& entry) {
    Meters& meters = Meters::of(*entry.second);
    std::scoped_lock meters_lock(meters.lock);
    bool gone =
        entry.second.use_count() == 1 && meters.holds == 0 && meters.pins == 0 && !meters.changed && !meters.hot;
    if (gone && meters.plan->durable && impl_->keeping) impl_->forgotten.emplace_back(entry.first);
    return gone;
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
    if (known) impl_->note_change(*account);
  }
  if (!known) return fail(Errc::not_found, fmt::format("{} has no budget {}", account->shown(), rule.text()));
  impl_->waiting.serve(std::array{account.get()}, now);
  return {};
}

std::unique_ptr<Ticket> Book::wait(std::span<Account* const> accounts, const Ask& ask, const Now& now,
                                   std::function<void()> wake) {
  return impl_->waiting.enter(Sorted(accounts), ask, now, std::move(wake));
}

void Book::set_address_rules(const Rules& rules) {
  std::shared_ptr<const Plan> plan;
  if (!rules.empty()) {
    std::scoped_lock lock(impl_->mutex);
    plan = impl_->plan_of(rules);
  }
  impl_->addresses.set_plan(std::move(plan));
}

Account* Book::address_account(std::string_view address) {
  return impl_->addresses.find(address, base::system_clock().steady());
}

void Book::Impl::add_alerts(std::vector<BudgetAlert> more) {
  if (more.empty()) return;
  std::scoped_lock lock(alerts_mutex);
  std::ranges::move(more, std::back_inserter(alerts));
}

std::vector<BudgetAlert> Book::take_alerts() {
  std::scoped_lock lock(impl_->alerts_mutex);
  return std::exchange(impl_->alerts, {});
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
  std::vector<std::shared_ptr<Account>> addresses;
  impl_->addresses.list(prefix, addresses);
  for (auto& account : addresses) list.emplace_back(std::move(account), AccountState{});
  std::ranges::sort(list, {}, [](const auto& entry) -> const std::string& { return entry.first->id(); });
  for (auto& [account, state] : list) state = account->state(now);
  return list;
}

}  // namespace penstock::quota
