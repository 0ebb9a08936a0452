// What people and programs are told when a call is refused.
#include "quota/meters.h"
#include "quota/rules_names.h"

namespace penstock::quota {
namespace {

// 3 d 4 h, 2 h 10 min, 45 s: two units are enough to plan by.
std::string in_words(base::Duration time) {
  struct Unit {
    std::int64_t seconds;
    std::string_view name;
  };
  constexpr std::array<Unit, 4> kUnits{{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}}};
  std::int64_t left = std::max<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(time).count(), 1);
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    if (left < kUnits[i].seconds) continue;
    std::string text = fmt::format("{} {}", left / kUnits[i].seconds, kUnits[i].name);
    left %= kUnits[i].seconds;
    if (i + 1 < kUnits.size() && left >= kUnits[i + 1].seconds) {
      text += fmt::format(" {} {}", left / kUnits[i + 1].seconds, kUnits[i + 1].name);
    }
    return text;
  }
  return "1 s";
}

std::string renewal(const Refusal& refusal, const Now& now) {
  if (refusal.renews == 0) return "it renews when calls under way have ended";
  base::Duration left = std::chrono::microseconds(std::max<base::WallMicros>(refusal.renews - now.wall, 0));
  bool rolling = refusal.plan->budgets[refusal.index].rule.period == BudgetRule::Period::rolling;
  return fmt::format("{} {} (in {})", rolling ? "some of it is free again" : "it renews",
                     base::to_rfc3339(refusal.renews), in_words(left));
}

std::string rate_detail(const Refusal& refusal) {
  const RateLimit& limit = refusal.plan->rules.limits.rates[refusal.index];
  bool tokens = limit.unit == RateLimit::Unit::tokens;
  return fmt::format("{} has reached its limit of {} {}/{}{}; try again in {}", refusal.account->shown(),
                     refusal.amount, tokens ? "tokens" : "requests", window_name(limit.window),
                     tokens && refusal.asked > 0 ? fmt::format(" (this call may need {})", refusal.asked) : "",
                     in_words(refusal.retry_after));
}

std::string budget_detail(const Refusal& refusal, const Now& now) {
  const BudgetRule& rule = refusal.plan->budgets[refusal.index].rule;
  auto figure = [&](std::int64_t amount) { return amount_text(rule.unit, amount); };
  std::string whose = fmt::format("the budget {} of {}", rule.text(), refusal.account->shown());
  if (refusal.asked > refusal.amount) {
    return fmt::format("this call alone could cost up to {}, more than {}: lower max_tokens or send less input",
                       figure(refusal.asked), whose);
  }
  if (refusal.alone) {
    return fmt::format(
        "the store that gateways share {} through cannot be reached, and this gateway's part of what was "
        "left is used up: try again later or ask another gateway",
        whose);
  }
  if (refusal.may_wait) {
    return fmt::format(
        "{} is all held by calls under way ({} spent, this call could cost up to {}); try again when "
        "they have ended",
        whose, figure(refusal.spent), figure(refusal.asked));
  }
  std::string asked = refusal.spent < refusal.amount
                          ? fmt::format(", and this call could cost up to {}", figure(refusal.asked))
                          : std::string();
  return fmt::format("{} is used up: {} spent{}; {}", whose, figure(refusal.spent), asked, renewal(refusal, now));
}

std::string detail(const Refusal& refusal, const Now& now) {
  if (refusal.queued) {
    return fmt::format("{} is at its limit and {} calls wait for it already", refusal.account->shown(), refusal.asked);
  }
  if (refusal.sliced) {
    return fmt::format(
        "{} is waiting for the other gateways to hear what was used of its limits; try again in a moment",
        refusal.account->shown());
  }
  switch (refusal.why) {
    case Denial::Why::rate: return rate_detail(refusal);
    case Denial::Why::concurrent:
      return fmt::format("{} has its {} concurrent requests under way; try again when one of them has ended",
                         refusal.account->shown(), refusal.amount);
    case Denial::Why::budget: return budget_detail(refusal, now);
    case Denial::Why::unpriced:
      return fmt::format(
          "no price is known for this call, and {} has the budget {}: set a price for the model or use "
          "one that has a price",
          refusal.account->shown(), refusal.plan->budgets[refusal.index].rule.text());
  }
  return {};
}

}  // namespace

Denial to_denial(const Refusal& refusal, const Now& now) {
  bool unpriced = refusal.why == Denial::Why::unpriced;
  return {.why = refusal.why,
          .error = {unpriced ? Errc::failed_precondition : Errc::resource_exhausted, detail(refusal, now)},
          .retry_after = refusal.retry_after,
          .limit = refusal.amount,
          .may_wait = refusal.may_wait};
}

}  // namespace penstock::quota
