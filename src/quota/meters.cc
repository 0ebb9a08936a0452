#include "quota/meters.h"

#include <algorithm>

#include "quota/checkpoint.h"

namespace penstock::quota {
namespace {

std::int64_t units_of(RateLimit::Unit unit, const Ask& ask) {
  return unit == RateLimit::Unit::tokens ? ask.tokens : ask.requests;
}

std::int64_t units_of(BudgetRule::Unit unit, const Ask& ask) {
  return unit == BudgetRule::Unit::tokens ? ask.tokens : ask.cost.value_or(0);
}

std::int64_t units_of(BudgetRule::Unit unit, const Used& used) {
  return unit == BudgetRule::Unit::tokens ? used.tokens : used.cost.value_or(0);
}

bool money(const BudgetRule& rule) { return rule.unit == BudgetRule::Unit::micro_usd; }

bool same_budget(const BudgetRule& a, const BudgetRule& b) {
  return a.unit == b.unit && a.period == b.period && a.rolling == b.rolling && a.zone == b.zone;
}

bool same_rate(const RateLimit& a, const RateLimit& b) { return a.unit == b.unit && a.window == b.window; }

// While the store is lost each unit weighs as much as if all gateways took one.
std::int64_t weight(const Sharing& sharing) { return sharing.on && !sharing.connected ? sharing.gateways : 1; }

base::Duration until(base::WallMicros then, const Now& now) {
  return then > now.wall ? base::Duration(std::chrono::microseconds(then - now.wall)) : base::Duration{};
}

}  // namespace

Plan::Plan(const Rules& from) : rules(from) {
  const Limits& limits = rules.limits;
  if (!limits.rates.empty() || !rules.budgets.empty() || limits.concurrent > 0) needs |= kLimited;
  if (limits.input_max > 0) needs |= kCountsTokens;
  for (const RateLimit& rate : limits.rates) {
    if (rate.unit == RateLimit::Unit::tokens) needs |= kCountsTokens;
    durable = durable || quota::durable(rate);
  }
  for (const BudgetRule& rule : rules.budgets) {
    auto zone = find_zone(rule.zone);  // an unknown one was refused when the rules were read
    budgets.push_back({rule, zone ? *zone : nullptr});
    needs |= kCountsTokens;
    durable = true;
    if (rule.hard) needs |= kNeedsBound;
    if (rule.hard && money(rule)) needs |= kNeedsPrice;
  }
}

void Tightest::look(const RateMeter& meter, const RateLimit& limit, base::SteadyTime now) {
  std::optional<ShownLimit>& shown = limit.unit == RateLimit::Unit::tokens ? tokens : requests;
  std::int64_t remaining = meter.remaining(now, limit);
  // The smaller share is left of it.
  if (shown && static_cast<double>(shown->remaining) * static_cast<double>(limit.amount) <=
                   static_cast<double>(remaining) * static_cast<double>(shown->limit)) {
    return;
  }
  shown = ShownLimit{limit.amount, remaining, meter.full_after(now)};
}

void Meters::set_plan(std::shared_ptr<const Plan> fresh) {
  std::vector<Rate> old_rates = std::exchange(rates, {});
  std::vector<Budget> old_budgets = std::exchange(budgets, {});
  std::shared_ptr<const Plan> old = std::exchange(plan, std::move(fresh));
  ++generation;
  for (const RateLimit& limit : plan->rules.limits.rates) {
    rates.push_back({.meter = {}, .born = generation, .share = nullptr});
    for (std::size_t i = 0; i < old_rates.size(); ++i) {
      if (!same_rate(old->rules.limits.rates[i], limit)) continue;
      rates.back() = std::move(old_rates[i]);
      if (old->rules.limits.rates[i].amount != limit.amount) rates.back().meter.rescale();
    }
  }
  for (const BudgetPlan& budget : plan->budgets) {
    budgets.push_back({.meter = {}, .born = generation, .share = nullptr});
    for (std::size_t i = 0; i < old_budgets.size(); ++i) {
      if (same_budget(old->budgets[i].rule, budget.rule)) budgets.back() = std::move(old_budgets[i]);
    }
  }
  needs = plan->needs;
}

void Meters::Rate::charge(base::SteadyTime now, std::int64_t units, const RateLimit& limit) {
  meter.charge(now, units, limit);
  if (share) share->count(units);
}

void Meters::Budget::share_out(std::int64_t units) {
  if (!share) return;
  bool calendar = meter.present().end != 0;
  if (calendar && share->period != meter.present().begin) {
    share->charged = share->back = {};
    share->period = meter.present().begin;
    share->loss = 0;
  }
  share->count(units);
}

std::int64_t Meters::Budget::other_half(const BudgetPlan& of, std::uint32_t number) {
  if (split != number || split_period != meter.present().begin) {
    split = number;
    split_period = meter.present().begin;
    std::int64_t left = std::max<std::int64_t>(meter.free(of), 0);
    split_off = left - left / 2;
  }
  return split_off;
}

std::int64_t Meters::Budget::others(const BudgetPlan& of, const Sharing& sharing) {
  share_out(0);
  bool began_since = of.calendar() && meter.present().begin >= sharing.lost_wall;
  return share->others(meter.free(of), meter.amount(of), began_since, sharing);
}

void Meters::share_meters() {
  for (Rate& rate : rates) {
    if (!rate.share) rate.share = std::make_unique<MeterShare>();
  }
  for (Budget& budget : budgets) {
    if (!budget.share) budget.share = std::make_unique<MeterShare>();
  }
}

std::optional<Refusal> Meters::check(const Ask& ask, const Now& now, const Sharing& sharing, bool head) {
  bool shares = sharing.on && kept;
  if (shares) share_meters();
  auto refusal = check_limits(ask, now, shares ? sharing : Sharing{});
  if (!refusal || refusal->may_wait) {
    auto of_budget = check_budgets(ask, now, shares || (kept && sharing.split != 0) ? sharing : Sharing{});
    if (of_budget && (!refusal || !of_budget->may_wait)) refusal = std::move(of_budget);
  }
  if (!refusal && shares && sharing.connected) refusal = check_slices(ask, sharing);
  bool others_wait = waiting > 0 && (queue_class <= ask.priority || passed >= kPassedMax);
  if (!refusal && !head && others_wait) {
    refusal = Refusal{.why = queue_why, .plan = plan, .asked = waiting, .may_wait = true, .queued = true};
  }
  return refusal;
}

std::optional<Refusal> Meters::check_slices(const Ask& ask, const Sharing& sharing) {
  // Far longer than an exchange takes.
  constexpr base::Duration kAgain = std::chrono::milliseconds(200);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const RateLimit& limit = plan->rules.limits.rates[i];
    if (rates[i].share->has_room(std::min(units_of(limit.unit, ask), limit.amount), limit.amount, sharing)) continue;
    return Refusal{.why = Denial::Why::rate,
                   .plan = plan,
                   .index = i,
                   .retry_after = kAgain,
                   .again = kAgain,
                   .amount = limit.amount,
                   .may_wait = true,
                   .sliced = true};
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const BudgetPlan& budget = plan->budgets[i];
    if (!budget.rule.hard) continue;
    budgets[i].share_out(0);  // the present period's
    std::int64_t amount = budgets[i].meter.amount(budget);
    if (budgets[i].share->has_room(units_of(budget.rule.unit, ask), amount, sharing)) continue;
    return Refusal{.why = Denial::Why::budget,
                   .plan = plan,
                   .index = i,
                   .retry_after = kAgain,
                   .again = kAgain,
                   .amount = amount,
                   .may_wait = true,
                   .sliced = true};
  }
  return std::nullopt;
}

bool Meters::wants_exchange(const Sharing& sharing) const {
  for (std::size_t i = 0; i < rates.size(); ++i) {
    if (rates[i].share && rates[i].share->wants_exchange(plan->rules.limits.rates[i].amount, sharing)) return true;
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    if (budgets[i].share && budgets[i].share->wants_exchange(plan->budgets[i].rule.amount, sharing)) return true;
  }
  return false;
}

std::optional<Refusal> Meters::check_limits(const Ask& ask, const Now& now, const Sharing& sharing) const {
  const Limits& limits = plan->rules.limits;
  bool throttled = limits.throttle.count() > 0;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const RateLimit& limit = limits.rates[i];
    std::int64_t units = units_of(limit.unit, ask);
    base::Duration delay = rates[i].meter.delay(now.steady, std::min(units, limit.amount) * weight(sharing), limit);
    if (delay.count() == 0) continue;
    // Tokens that are held may come back sooner.
    bool soon = delay <= limits.throttle || (limit.unit == RateLimit::Unit::tokens && holds > 0);
    return Refusal{.why = Denial::Why::rate,
                   .plan = plan,
                   .index = i,
                   .retry_after = delay,
                   .again = delay,
                   .amount = limit.amount,
                   .asked = units,
                   .may_wait = throttled && soon};
  }
  // Calls under way are not shared but shared out.
  std::int64_t concurrent = (limits.concurrent + sharing.gateways - 1) / sharing.gateways;
  if (concurrent > 0 && holds >= concurrent) {
    return Refusal{.why = Denial::Why::concurrent, .plan = plan, .amount = concurrent, .may_wait = throttled};
  }
  return std::nullopt;
}

std::optional<Refusal> Meters::check_budgets(const Ask& ask, const Now& now, const Sharing& sharing) {
  std::optional<Refusal> waits;
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const BudgetPlan& budget = plan->budgets[i];
    BudgetMeter& meter = budgets[i].meter;
    meter.advance(budget, now);
    if (!budget.rule.hard) continue;
    std::int64_t asked = units_of(budget.rule.unit, ask);
    bool unpriced = money(budget.rule) && !ask.cost;
    std::int64_t others = 0;
    if (sharing.on) others = budgets[i].others(budget, sharing);
    if (!sharing.on && sharing.split != 0) others = budgets[i].other_half(budget, sharing.split);
    std::int64_t free = meter.free(budget);
    if (!unpriced && (asked == 0 || asked <= free - others)) continue;
    Refusal refusal{.why = unpriced ? Denial::Why::unpriced : Denial::Why::budget,
                    .plan = plan,
                    .index = i,
                    .amount = meter.amount(budget),
                    .spent = meter.present().spent,
                    .asked = asked};
    if (unpriced) return refusal;
    refusal.renews = meter.renews(budget, now);
    refusal.again = until(refusal.renews, now);
    refusal.may_wait = refusal.asked <= refusal.amount - refusal.spent - others;
    refusal.alone = sharing.on && others > 0 && refusal.asked <= free;
    // Until the other process has gone.
    if (!sharing.on && others > 0 && asked <= refusal.amount - refusal.spent) {
      constexpr base::Duration kAgain = std::chrono::milliseconds(200);
      refusal.retry_after = refusal.again = kAgain;
      refusal.may_wait = refusal.sliced = true;
    }
    if (!refusal.may_wait) {
      // What is more than all of it never fits.
      if (asked <= refusal.amount) refusal.retry_after = refusal.again;
      return refusal;
    }
    if (!waits) waits = std::move(refusal);
  }
  return waits;
}

void Meters::charge(const Ask& ask, const Now& now, const Sharing& sharing, bool head, Tightest& tightest) {
  ++holds;
  if (waiting > 0 && passed < kPassedMax && !head) ++passed;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const RateLimit& limit = plan->rules.limits.rates[i];
    std::int64_t units = std::min(units_of(limit.unit, ask), limit.amount);
    rates[i].charge(now.steady, units, limit);
    if (std::int64_t more = units * (weight(sharing) - 1); rates[i].share && more > 0) {
      rates[i].meter.charge(now.steady, more, limit);
      rates[i].share->ahead += more;
    }
    tightest.look(rates[i].meter, limit, now.steady);
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    std::int64_t units = units_of(plan->budgets[i].rule.unit, ask);
    budgets[i].meter.hold(units);
    budgets[i].share_out(units);
  }
}

void Meters::raise(const Claim& claim, const Used& by, const Now& now) {
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const RateLimit& limit = plan->rules.limits.rates[i];
    if (rates[i].born > claim.generation || limit.unit != RateLimit::Unit::tokens) continue;
    rates[i].charge(now.steady, by.tokens, limit);
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    if (budgets[i].born > claim.generation) continue;
    std::int64_t units = units_of(plan->budgets[i].rule.unit, by);
    if (budgets[i].meter.raise(plan->budgets[i], claim.admitted, units)) budgets[i].share_out(units);
  }
}

std::optional<Refusal> Meters::exceeded(const Now& now) {
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const RateLimit& limit = plan->rules.limits.rates[i];
    if (limit.unit != RateLimit::Unit::tokens || !rates[i].meter.in_debt(now.steady, limit)) continue;
    return Refusal{.why = Denial::Why::rate,
                   .plan = plan,
                   .index = i,
                   .retry_after = rates[i].meter.delay(now.steady, 1, limit),
                   .amount = limit.amount};
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const BudgetPlan& budget = plan->budgets[i];
    BudgetMeter& meter = budgets[i].meter;
    meter.advance(budget, now);
    if (!budget.rule.hard || meter.free(budget) >= 0) continue;
    base::WallMicros renews = meter.renews(budget, now);
    return Refusal{.why = Denial::Why::budget,
                   .plan = plan,
                   .index = i,
                   .retry_after = until(renews, now),
                   .amount = meter.amount(budget),
                   .spent = meter.present().spent,
                   .renews = renews};
  }
  return std::nullopt;
}

void Meters::settle(const Claim& claim, const Used& used, const Now& now) {
  --holds;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const RateLimit& limit = plan->rules.limits.rates[i];
    if (rates[i].born > claim.generation || limit.unit != RateLimit::Unit::tokens) continue;
    std::int64_t charged = std::min(claim.ask.tokens, limit.amount) + claim.raised.tokens;
    rates[i].charge(now.steady, used.tokens - charged, limit);
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const BudgetPlan& budget = plan->budgets[i];
    std::int64_t held = units_of(budget.rule.unit, claim.ask) + units_of(budget.rule.unit, claim.raised);
    std::int64_t spent = money(budget.rule) && !used.cost ? held : units_of(budget.rule.unit, used);
    if (budgets[i].born > claim.generation) held = 0;
    if (budgets[i].meter.settle(budget, {claim.admitted, now, held, spent})) budgets[i].share_out(spent - held);
  }
}

void Meters::hear(const SharedPlace& place, const SharedSum& sum, const Now& now) {
  auto here = [&](const std::unique_ptr<MeterShare>& share) {
    return share && share->number == place.number && share->period == place.period;
  };
  auto by_others = [&](MeterShare& share) {
    share.heard_at = now.steady;
    std::int64_t others = (place.back ? share.back : share.charged).hear(sum.told, sum.sum);
    others = std::min(others, kAmountMax);
    return place.back ? -others : others;
  };
  for (std::size_t i = 0; i < rates.size(); ++i) {
    if (!here(rates[i].share)) continue;
    const RateLimit& limit = plan->rules.limits.rates[i];
    // While the store was lost this was charged already; some of it has been given back since.
    MeterShare& share = *rates[i].share;
    std::int64_t others = by_others(share);
    share.ahead = std::min(share.ahead, limit.amount - rates[i].meter.remaining(now.steady, limit));
    std::int64_t covered = std::clamp<std::int64_t>(others, 0, std::max<std::int64_t>(share.ahead, 0));
    share.ahead -= covered;
    rates[i].meter.charge(now.steady, others - covered, limit);
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    if (!here(budgets[i].share)) continue;
    if (plan->budgets[i].calendar() && budgets[i].meter.present().begin != place.period) continue;
    budgets[i].meter.spend(by_others(*budgets[i].share));
  }
}

void Meters::take_alerts(const Account& account, const Now& now, std::vector<BudgetAlert>& alerts) {
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const BudgetPlan& budget = plan->budgets[i];
    std::uint32_t reached = budgets[i].meter.take_alerts(budget);
    for (std::size_t alert = 0; reached != 0 && alert < budget.rule.alerts.size(); ++alert) {
      if ((reached >> alert & 1) == 0) continue;
      alerts.push_back({account.id(), account.shown(), budget.rule, budget.rule.alerts[alert],
                        budgets[i].meter.present().spent, budgets[i].meter.renews(budget, now)});
    }
  }
}

bool Meters::untouched(base::SteadyTime now) const {
  bool full = holds == 0 && pins == 0;
  for (const Rate& rate : rates) full = full && rate.meter.full_after(now).count() == 0;
  for (const Budget& budget : budgets) full = full && budget.meter.present().spent == 0;
  return full;
}

bool Meters::adjust(const BudgetRule& rule, std::int64_t amount, const Now& now) {
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const BudgetPlan& budget = plan->budgets[i];
    if (!same_budget(budget.rule, rule)) continue;
    budgets[i].meter.advance(budget, now);
    budgets[i].meter.give(amount);
    return true;
  }
  return false;
}

AccountState Meters::state(const Now& now) {
  AccountState state;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const RateLimit& limit = plan->rules.limits.rates[i];
    state.rates.push_back({limit, rates[i].meter.remaining(now.steady, limit), rates[i].meter.full_after(now.steady)});
  }
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const BudgetPlan& budget = plan->budgets[i];
    BudgetMeter& meter = budgets[i].meter;
    meter.advance(budget, now);
    const BudgetPeriod& period = meter.present();
    state.budgets.push_back(
        {budget.rule, period.spent, period.held, period.begin, meter.renews(budget, now), period.extra});
  }
  state.concurrent = holds;
  state.waiting = pins;
  return state;
}

}  // namespace penstock::quota
