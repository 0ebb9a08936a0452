#include "infer/canary_judge.h"

#include <cmath>

#include "base/quantity.h"

namespace penstock::infer {
namespace {

double needed_to_roll_back(const CanaryConfig& canary) {
  return std::log(static_cast<double>(canary.rules.size()) / canary.error_rate);
}
double needed_to_promote(const CanaryConfig& canary) { return -std::log(canary.error_rate); }

// Odds, from their natural logarithm.
std::string odds(double evidence) {
  if (evidence > std::log(1e6)) return "more than 1,000,000 to 1";
  double ratio = std::exp(evidence);
  if (ratio < 0.1) return "less than 0.1 to 1";
  return ratio < 10 ? fmt::format("{:.1f} to 1", ratio) : fmt::format("{:.0f} to 1", ratio);
}

std::string tail(CanaryRule::Kind kind, base::Duration bound) {
  switch (kind) {
    case CanaryRule::Kind::errors: return "calls failed";
    case CanaryRule::Kind::latency: return fmt::format("calls took longer than {}", base::format_duration(bound));
    case CanaryRule::Kind::disagreement: return "answers differed from the other version's";
  }
  return {};
}

// The rule with the most evidence against the canary, or with the least for it.
std::size_t decisive(const CanaryConfig& canary, std::span<const Count> counts, bool against) {
  std::size_t found = 0;
  double most = -INFINITY;
  for (std::size_t i = 0; i < canary.rules.size(); ++i) {
    double limit = canary.rules[i].share;
    double evidence = against ? evidence_above(limit, counts[i]) : -evidence_below(limit, counts[i]);
    if (evidence <= most) continue;
    most = evidence;
    found = i;
  }
  return found;
}

std::string of_others(const CanaryRule& rule, const Count& others) {
  if (rule.kind == CanaryRule::Kind::disagreement || others.calls == 0) return {};
  return fmt::format("; of the other versions {} of {}", others.bad, others.calls);
}

std::string all_rules(const CanaryConfig& canary, std::span<const Count> counts) {
  std::string text;
  for (std::size_t i = 0; i < canary.rules.size(); ++i)
    text += (i == 0 ? "" : ", ") + describe(canary.rules[i], counts[i]);
  return text;
}

std::string explain_watch(const CanaryConfig& canary, std::span<const Count> counts, base::Duration watched) {
  if (canary.rules.empty()) return "nothing is decided without `rollback_if`";
  std::size_t worst = decisive(canary, counts, true);
  std::size_t least = decisive(canary, counts, false);
  std::string text =
      fmt::format("{}. Evidence for rolling back: {}, {} is needed", all_rules(canary, counts),
                  odds(evidence_above(canary.rules[worst].share, counts[worst])), odds(needed_to_roll_back(canary)));
  if (canary.promote_after <= base::Duration::zero()) return text + "; it is promoted by command only";
  text += fmt::format("; for promoting: {}, {} is needed for every limit",
                      odds(evidence_below(canary.rules[least].share, counts[least])), odds(needed_to_promote(canary)));
  if (watched >= canary.promote_after) return text;
  base::Duration left = std::chrono::ceil<std::chrono::seconds>(canary.promote_after - watched);
  return text + fmt::format(", and {} more of watching", base::format_duration(left));
}

}  // namespace

Verdict judge(const CanaryConfig& canary, std::span<const Count> counts, base::Duration watched) {
  if (canary.rules.empty()) return Verdict::watch;
  bool all_within = true;
  for (std::size_t i = 0; i < canary.rules.size(); ++i) {
    if (evidence_above(canary.rules[i].share, counts[i]) >= needed_to_roll_back(canary)) return Verdict::roll_back;
    all_within = all_within && evidence_below(canary.rules[i].share, counts[i]) >= needed_to_promote(canary);
  }
  bool in_time = canary.promote_after > base::Duration::zero() && watched >= canary.promote_after;
  return all_within && in_time ? Verdict::promote : Verdict::watch;
}

std::string describe(const CanaryRule& rule, const Count& count) {
  std::string unclear = count.unclear == 0 ? "" : fmt::format("; of {} more nobody saw the end", count.unclear);
  return fmt::format("{} of {} {} (limit {}{})", count.bad, count.calls, tail(rule.kind, rule.bound),
                     format_share(rule.share), unclear);
}

std::string explain(Verdict verdict, const CanaryConfig& canary, std::span<const Count> counts,
                    std::span<const Count> others, base::Duration watched) {
  if (verdict == Verdict::watch || canary.rules.empty()) return explain_watch(canary, counts, watched);
  std::size_t found = decisive(canary, counts, verdict == Verdict::roll_back);
  const CanaryRule& rule = canary.rules[found];
  const Count& count = counts[found];
  if (verdict == Verdict::roll_back) {
    return fmt::format(
        "rolled back: {} of {} {}; the limit is {}{}. Evidence that the limit is passed: {}; {} is needed so that a "
        "version within its limits is rolled back in at most {} of cases",
        count.bad, count.calls, tail(rule.kind, rule.bound), format_share(rule.share), of_others(rule, others[found]),
        odds(evidence_above(rule.share, count)), odds(needed_to_roll_back(canary)), format_share(canary.error_rate));
  }
  base::Duration whole = std::chrono::floor<std::chrono::seconds>(watched);
  return fmt::format(
      "promoted after {}: {}. Evidence that each limit is kept: at least {}; {} is needed so that a version beyond a "
      "limit is promoted in at most {} of cases",
      base::format_duration(whole), all_rules(canary, counts), odds(evidence_below(rule.share, count)),
      odds(needed_to_promote(canary)), format_share(canary.error_rate));
}

}  // namespace penstock::infer
