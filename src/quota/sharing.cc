// What other gateways are told and what they tell.
#include "quota/book_impl.h"
#include "quota/rules_names.h"

namespace penstock::quota {
namespace {

// How long after its last use a meter is still asked for.
constexpr base::Duration kHot = std::chrono::seconds(1);
// Accounts whose meters are told again after the store lost its data: what one exchange can carry.
constexpr std::size_t kToldAtOnce = 100'000;
constexpr base::Duration kMargin = std::chrono::minutes(10);

struct Name {
  std::string text;
  base::Duration keep{};
};

std::int64_t window_number(base::Duration window, const Now& now) {
  return now.wall / std::chrono::duration_cast<std::chrono::microseconds>(window).count();
}

Name name_of(const Account& account, const RateLimit& limit, std::int64_t period) {
  return {fmt::format("{} {}/{} {}", account.id(), limit.unit == RateLimit::Unit::tokens ? "tokens" : "requests",
                      window_name(limit.window), period),
          2 * limit.window + kMargin};
}

Name name_of(const Account& account, const BudgetPlan& plan, std::int64_t period, const Now& now) {
  const BudgetRule& rule = plan.rule;
  std::string_view unit = rule.unit == BudgetRule::Unit::tokens ? "tokens" : "USD";
  if (!plan.calendar()) {
    return {fmt::format("{} {}/{} {}", account.id(), unit, base::format_duration(rule.rolling), period),
            2 * rule.rolling + kMargin};
  }
  Span span = calendar_period(rule.period, plan.zone, now.wall);
  return {fmt::format("{} {}/{} {} {}", account.id(), unit, period_name(rule.period), rule.zone, period),
          std::chrono::microseconds(span.end - now.wall) + std::chrono::days(1)};
}

}  // namespace

Sharing Book::Impl::sharing() const {
  if (!sharing_on.load(std::memory_order_relaxed)) {
    Sharing alone;
    alone.split = split.load(std::memory_order_relaxed);
    return alone;
  }
  return {.on = true,
          .connected = connected.load(std::memory_order_relaxed),
          .gateways = gateways.load(std::memory_order_relaxed),
          .slice = slice.load(std::memory_order_relaxed),
          .losses = losses.load(std::memory_order_relaxed),
          .lost_at = lost_at.load(std::memory_order_relaxed),
          .lost_wall = lost_wall.load(std::memory_order_relaxed)};
}

void Book::Impl::note_share(Account& account, const Now& now, const Sharing& view) {
  Meters& meters = Meters::of(account);
  if (!view.on || !meters.kept) return;
  meters.used_at = std::max(meters.used_at, now.steady);
  if (view.connected && meters.wants_exchange(view)) exchange_wanted = true;
  if (meters.hot) return;
  meters.hot = true;
  std::scoped_lock lock(shared_lock);
  meters.next_shared = std::exchange(newly_shared, &account);
}

void Book::Impl::tell_exchange() {
  if (!exchange_wanted.load(std::memory_order_relaxed) || !ask_exchange) return;
  if (!exchange_asked.exchange(true)) ask_exchange();
}

void Book::on_slice_used(std::function<void()> exchange) { impl_->ask_exchange = std::move(exchange); }

void Book::set_sharing(const SharingState& state, const Now& now) {
  bool knew = impl_->sharing_on && !impl_->connected;
  impl_->gateways = std::max(state.gateways, 1);
  // Two without a store between them: two processes of one gateway while it is upgraded.
  impl_->split = !state.on && state.gateways > 1 ? ++impl_->splits : 0;
  impl_->slice = std::clamp(state.slice, 0.0, 1.0);
  if (state.on && !state.connected && !knew) {
    impl_->lost_at = now.steady;
    impl_->lost_wall = now.wall;
    ++impl_->losses;
  }
  impl_->connected = state.connected;
  impl_->sharing_on = state.on;
  const bool data_lost = state.on && !state.connected && knew;  // said again: see SharerPorts
  std::size_t told = 0;
  std::vector<Account*> waited_for;
  {
    std::scoped_lock lock(impl_->mutex);
    for (auto& [id, account] : impl_->by_id) {
      if (data_lost && told < kToldAtOnce && impl_->tell_known(*account, now)) ++told;
      std::scoped_lock meters_lock(Meters::of(*account).lock);
      if (Meters::of(*account).waiting > 0) waited_for.push_back(account.get());
    }
  }
  impl_->waiting.serve(waited_for, now);
}

// What is known here of the periods that still run is told, whenever it was used.
bool Book::Impl::tell_known(Account& account, const Now& now) {
  Meters& meters = Meters::of(account);
  std::scoped_lock lock(meters.lock);
  auto of_interest = [](const std::unique_ptr<MeterShare>& share, std::int64_t period) {
    return share && share->period == period && share->charged.known + share->charged.untold > 0;
  };
  bool wanted = false;
  for (std::size_t i = 0; i < meters.rates.size(); ++i) {
    const RateLimit& limit = meters.plan->rules.limits.rates[i];
    wanted = wanted || of_interest(meters.rates[i].share, window_number(limit.window, now));
  }
  for (std::size_t i = 0; i < meters.budgets.size(); ++i) {
    const BudgetPlan& plan = meters.plan->budgets[i];
    const std::unique_ptr<MeterShare>& share = meters.budgets[i].share;
    wanted = wanted ||
             (plan.calendar() ? share && calendar_period(plan.rule.period, plan.zone, now.wall).begin == share->period
                              : of_interest(share, window_number(plan.rule.rolling, now)));
  }
  if (wanted) note_share(account, now, sharing());
  return wanted;
}

std::vector<SharedUse> Book::shared_uses(const Now& now) {
  impl_->exchange_wanted = false;
  impl_->exchange_asked = false;
  impl_->asked.clear();
  impl_->gather_shared();
  std::vector<SharedUse> uses;
  std::erase_if(impl_->hot, [&](Account* account) { return !impl_->tell_uses(*account, now, uses); });
  return uses;
}

// Those that calls have marked since the last time.
void Book::Impl::gather_shared() {
  Account* next = nullptr;
  {
    std::scoped_lock lock(shared_lock);
    next = std::exchange(newly_shared, nullptr);
  }
  for (; next != nullptr; next = Meters::of(*next).next_shared) hot.push_back(next);
}

// False: it is of no interest now and no longer marked.
bool Book::Impl::tell_uses(Account& account, const Now& now, std::vector<SharedUse>& uses) {
  Meters& meters = Meters::of(account);
  std::scoped_lock lock(meters.lock);
  bool told = true;
  auto tell = [&](MeterShare& share, const Name& name) {
    if (share.number == 0) share.number = ++meters_numbered;
    for (bool back : {false, true}) {
      const MeterShare::Sum& sum = back ? share.back : share.charged;
      std::string text = back ? name.text + " back" : name.text;
      asked[text] = {&account, share.number, share.period, back};
      uses.push_back({std::move(text), sum.untold, sum.known, name.keep});
      told = told && sum.untold == 0;
    }
  };
  std::size_t before = uses.size();
  for (std::size_t i = 0; i < meters.rates.size(); ++i) {
    if (!meters.rates[i].share) continue;
    const RateLimit& limit = meters.plan->rules.limits.rates[i];
    meters.rates[i].share->enter(window_number(limit.window, now));
    meters.rates[i].share->forget_beyond(limit.amount);
    tell(*meters.rates[i].share, name_of(account, limit, meters.rates[i].share->period));
  }
  for (std::size_t i = 0; i < meters.budgets.size(); ++i) {
    Meters::Budget& budget = meters.budgets[i];
    if (!budget.share) continue;
    const BudgetPlan& plan = meters.plan->budgets[i];
    budget.meter.advance(plan, now);
    if (plan.calendar()) {
      budget.share_out(0);
    } else {
      budget.share->enter(window_number(plan.rule.rolling, now));
    }
    tell(*budget.share, name_of(account, plan, budget.share->period, now));
  }
  if (!told || now.steady - meters.used_at < kHot) return true;
  for (std::size_t i = before; i < uses.size(); ++i) asked.erase(uses[i].meter);
  uses.resize(before);
  meters.hot = false;
  return false;
}

void Book::apply(const std::vector<SharedSum>& sums, const Now& now) {
  std::vector<BudgetAlert> alerts;
  std::vector<Account*> waited_for;
  for (const SharedSum& sum : sums) {
    auto found = impl_->asked.find(sum.meter);
    if (found == impl_->asked.end()) continue;
    const Impl::Asked& asked = found->second;
    Meters& meters = Meters::of(*asked.account);
    std::scoped_lock lock(meters.lock);
    meters.hear({asked.number, asked.period, asked.back}, sum, now);
    impl_->note_change(*asked.account);
    meters.take_alerts(*asked.account, now, alerts);
    bool listed = !waited_for.empty() && waited_for.back() == asked.account;
    if (meters.waiting > 0 && !listed) waited_for.push_back(asked.account);
  }
  impl_->asked.clear();
  impl_->add_alerts(std::move(alerts));
  impl_->waiting.serve(waited_for, now);
}

}  // namespace penstock::quota
