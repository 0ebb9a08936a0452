// Reading of limits and budgets, with the place of every mistake.
#include <charconv>

#include "quota/rules.h"
#include "quota/rules_names.h"
#include "quota/zone.h"

namespace penstock::quota {
namespace {

constexpr std::int64_t kTokensMax = 1'000'000'000'000;
constexpr std::int64_t kRequestsMax = 1'000'000'000;
constexpr std::int64_t kConcurrentMax = 1'000'000;
constexpr base::Duration kThrottleMax = std::chrono::minutes(10);
constexpr base::Duration kRollingMin = std::chrono::minutes(1);
constexpr base::Duration kRollingMax = std::chrono::days(366);
constexpr std::size_t kAlertsMax = 16;
constexpr std::size_t kBudgetsMax = 8;

// The digits at the front of `text`, which they leave. Nothing: there are none, or too many of them.
std::optional<std::int64_t> take_digits(std::string_view& text) {
  std::int64_t value = 0;
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool in_range(const config::Node& node, std::int64_t amount, std::int64_t most, std::string_view what) {
  if (amount >= 1 && amount <= most) return true;
  node.problem(
      amount < 1
          ? fmt::format("'{}' lets nothing through; write at least 1, or leave it out for no limit", node.raw())
          : fmt::format("'{}' is more than {} {}; write less, or leave it out for no limit", node.raw(), most, what));
  return false;
}

// --- limits ---

std::optional<RateLimit> parse_rate(const config::Node& node, RateLimit::Unit unit) {
  std::string text = node.text();
  std::string_view rest = text;
  auto amount = take_digits(rest);
  const WindowName* window = nullptr;
  for (const WindowName& known : kWindows) {
    if (amount && rest.starts_with('/') && rest.substr(1) == known.name) window = &known;
  }
  if (window == nullptr) {
    node.problem(
        fmt::format("'{}' is not a rate; write a whole number per s, min, h or day: 10/s, 600/min, 5000/h, "
                    "10000/day",
                    node.raw()));
    return std::nullopt;
  }
  bool tokens = unit == RateLimit::Unit::tokens;
  if (!in_range(node, *amount, tokens ? kTokensMax : kRequestsMax, tokens ? "tokens" : "requests")) return std::nullopt;
  return RateLimit{unit, *amount, window->window};
}

struct PlacedRate {
  RateLimit rate;
  config::Node node;
};

std::vector<config::Node> one_or_many(const config::Node& node) {
  if (!node.present()) return {};
  if (node.kind() == config::Node::Kind::list) return node.items();
  return {node};
}

std::int64_t parse_count(const config::Node& node, std::int64_t most, std::string_view what) {
  if (!node.present()) return 0;
  std::string text = node.text();
  std::string_view rest = text;
  auto count = take_digits(rest);
  if (!count || !rest.empty()) {
    node.problem(fmt::format("'{}' is not a whole number of {}", node.raw(), what));
    return 0;
  }
  return in_range(node, *count, most, what) ? *count : 0;
}

void parse_per_minute(config::Map& map, std::string_view key, RateLimit::Unit unit, std::vector<PlacedRate>& rates) {
  config::Node node = map.get(key);
  bool tokens = unit == RateLimit::Unit::tokens;
  std::int64_t amount = parse_count(node, tokens ? kTokensMax : kRequestsMax, tokens ? "tokens" : "requests");
  if (amount > 0) rates.push_back({{unit, amount, std::chrono::minutes(1)}, node});
}

std::string_view unit_name(RateLimit::Unit unit) { return unit == RateLimit::Unit::tokens ? "tokens" : "requests"; }

// Reports the later of two limits of one window, and limits that a longer one never lets be reached.
void check_overlaps(const std::vector<PlacedRate>& rates) {
  for (std::size_t i = 0; i < rates.size(); ++i) {
    for (std::size_t j = 0; j < rates.size(); ++j) {
      const RateLimit& a = rates[i].rate;
      const RateLimit& b = rates[j].rate;
      if (i == j || a.unit != b.unit) continue;
      if (a.window == b.window && j < i) {
        rates[i].node.problem(fmt::format("a second limit of {} per {} beside {}; keep one of them", unit_name(a.unit),
                                          window_name(a.window), rate_text(b)));
      } else if (a.window < b.window && a.amount > b.amount) {
        rates[i].node.problem(fmt::format("{} {} can never be reached: {} is less; lower the one or raise the other",
                                          rate_text(a), unit_name(a.unit), rate_text(b)));
      }
    }
  }
}

Limits parse_limits(const config::Node& node) {
  Limits limits;
  config::Map map = node.map();
  std::vector<PlacedRate> rates;
  for (auto [unit, key, short_key] : {std::tuple(RateLimit::Unit::requests, "requests", "rpm"),
                                      std::tuple(RateLimit::Unit::tokens, "tokens", "tpm")}) {
    parse_per_minute(map, short_key, unit, rates);
    for (const config::Node& item : one_or_many(map.get(key))) {
      if (auto rate = parse_rate(item, unit)) rates.push_back({*rate, item});
    }
  }
  check_overlaps(rates);
  for (const PlacedRate& placed : rates) limits.rates.push_back(placed.rate);
  std::ranges::sort(limits.rates, {}, [](const RateLimit& rate) { return std::pair(rate.unit, rate.window); });
  auto same =
      std::ranges::unique(limits.rates, {}, [](const RateLimit& rate) { return std::pair(rate.unit, rate.window); });
  limits.rates.erase(same.begin(), same.end());
  limits.concurrent = parse_count(map.get("concurrent"), kConcurrentMax, "requests");
  limits.input_max = parse_count(map.get("input"), kTokensMax, "tokens");
  limits.output_max = parse_count(map.get("output"), kTokensMax, "tokens");
  config::Node throttle = map.get("throttle");
  if (throttle.present()) limits.throttle = throttle.duration();
  if (limits.throttle > kThrottleMax) {
    throttle.problem(fmt::format("'{}' is longer than {}; callers give up before", throttle.raw(),
                                 base::format_duration(kThrottleMax)));
    limits.throttle = kThrottleMax;
  }
  map.done();
  return limits;
}

// --- budgets ---

// An amount of money or tokens. False: a mistake, reported.
bool parse_amount(const config::Node& node, std::string_view text, BudgetRule& rule) {
  std::string_view rest = text;
  auto tokens = take_digits(rest);
  if (tokens && rest == "tokens") {
    rule.unit = BudgetRule::Unit::tokens;
    rule.amount = *tokens;
    return in_range(node, rule.amount, kTokensMax, "tokens");
  }
  auto micros = base::parse_usd_micros(text);
  if (!micros) {
    node.problem(
        fmt::format("'{}' is not an amount of a budget; write less than 1000000000USD (5USD, 0.15USD) or whole "
                    "tokens (2000000tokens)",
                    text));
    return false;
  }
  rule.unit = BudgetRule::Unit::micro_usd;
  rule.amount = *micros;
  if (rule.amount >= 1) return true;
  node.problem(fmt::format("'{}' lets nothing through; write at least 0.000001USD", text));
  return false;
}

bool parse_rolling(const config::Node& node, std::string_view text, BudgetRule& rule) {
  auto length = base::parse_duration(text);
  if (!length || *length < kRollingMin || *length > kRollingMax) {
    node.problem(
        fmt::format("'{}' is no period of a budget; write day, week or month, or from 1m to 366d for a rolling "
                    "one: 24h, 30d",
                    text));
    return false;
  }
  rule.period = BudgetRule::Period::rolling;
  rule.rolling = *length;
  return true;
}

bool parse_period(const config::Node& node, std::string_view text, BudgetRule& rule) {
  for (std::size_t i = 0; i < kPeriods.size(); ++i) {
    if (text != kPeriods[i]) continue;
    rule.period = static_cast<BudgetRule::Period>(i);
    return true;
  }
  return parse_rolling(node, text, rule);
}

// 5USD/day, 2000000tokens/24h
std::optional<BudgetRule> parse_budget_text(const config::Node& node) {
  std::string text = node.text();
  std::size_t slash = text.find('/');
  if (slash == std::string::npos) {
    node.problem(
        fmt::format("'{}' is not a budget; write an amount per period: 5USD/day, 50USD/month, "
                    "2000000tokens/week, 5USD/24h",
                    node.raw()));
    return std::nullopt;
  }
  BudgetRule rule;
  std::string_view view = text;
  if (!parse_amount(node, view.substr(0, slash), rule)) return std::nullopt;
  if (!parse_period(node, view.substr(slash + 1), rule)) return std::nullopt;
  return rule;
}

void parse_alerts(const config::Node& list, BudgetRule& rule) {
  for (const config::Node& node : one_or_many(list)) {
    auto share = base::parse_percent(node.text());
    if (!share || *share <= 0) {
      node.problem(fmt::format("'{}' is no share of a budget; write more than 0% and at most 100%, for example 80%",
                               node.raw()));
      continue;
    }
    rule.alerts.push_back(*share);
  }
  std::ranges::sort(rule.alerts);
  auto same = std::ranges::unique(rule.alerts);
  rule.alerts.erase(same.begin(), same.end());
  if (rule.alerts.size() > kAlertsMax) list.problem(fmt::format("more than {} alerts", kAlertsMax));
}

void parse_zone(const config::Node& node, BudgetRule& rule) {
  if (!node.present()) return;
  rule.zone = node.text("UTC");
  if (rule.period == BudgetRule::Period::rolling) {
    node.problem("a rolling budget has no time zone; leave it out");
    rule.zone = "UTC";
  } else if (auto zone = find_zone(rule.zone); !zone) {
    node.problem(zone.error().detail);
    rule.zone = "UTC";
  } else if (*zone == nullptr) {
    rule.zone = "UTC";
  }
}

std::optional<BudgetRule> parse_budget_map(const config::Node& node) {
  BudgetRule rule;
  config::Map map = node.map();
  config::Node amount = map.required("amount");
  config::Node per = map.get("per");
  config::Node rolling = map.get("rolling");
  bool good = amount.present() && parse_amount(amount, amount.text(), rule);
  if (per.present() == rolling.present()) {
    node.problem("a budget needs one of 'per' (day, week, month) and 'rolling' (24h)");
    good = false;
  } else if (per.present()) {
    rule.period = static_cast<BudgetRule::Period>(
        std::ranges::find(kPeriods, per.choice({kPeriods[0], kPeriods[1], kPeriods[2]}, kPeriods[0])) -
        kPeriods.begin());
  } else {
    good = parse_rolling(rolling, rolling.text(), rule) && good;
  }
  parse_zone(map.get("zone"), rule);
  parse_alerts(map.get("alert"), rule);
  rule.hard = map.boolean("hard", true);
  map.done();
  if (!good) return std::nullopt;
  return rule;
}

// Months by their mean length: only for telling which of two periods is the longer.
base::Duration length_of(const BudgetRule& rule) {
  constexpr std::array<base::Duration, 3> kLengths{std::chrono::days(1), std::chrono::days(7), std::chrono::months(1)};
  return rule.period == BudgetRule::Period::rolling ? rule.rolling : kLengths[static_cast<std::size_t>(rule.period)];
}

struct PlacedBudget {
  BudgetRule rule;
  config::Node node;
};

void check_overlaps(const std::vector<PlacedBudget>& budgets) {
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    for (std::size_t j = 0; j < budgets.size(); ++j) {
      const BudgetRule& a = budgets[i].rule;
      const BudgetRule& b = budgets[j].rule;
      if (i == j || a.unit != b.unit) continue;
      if (j < i && a.period == b.period && a.rolling == b.rolling && a.zone == b.zone) {
        budgets[i].node.problem(
            fmt::format("a second budget of the same unit, period and zone beside {}; keep one", b.text()));
      } else if (a.hard && b.hard && length_of(a) < length_of(b) && a.amount > b.amount) {
        budgets[i].node.problem(
            fmt::format("{} can never be reached: {} is less; lower the one or raise the other", a.text(), b.text()));
      }
    }
  }
}

std::vector<BudgetRule> parse_budgets(const config::Node& node) {
  std::vector<PlacedBudget> placed;
  for (const config::Node& item : one_or_many(node)) {
    auto rule = item.kind() == config::Node::Kind::map ? parse_budget_map(item) : parse_budget_text(item);
    if (rule) placed.push_back({std::move(*rule), item});
  }
  check_overlaps(placed);
  if (placed.size() > kBudgetsMax) node.problem(fmt::format("more than {} budgets", kBudgetsMax));
  std::vector<BudgetRule> rules;
  for (PlacedBudget& budget : placed) rules.push_back(std::move(budget.rule));
  return rules;
}

}  // namespace

Rules parse_rules(config::Map& map) {
  Rules rules;
  if (config::Node limits = map.get("limits"); limits.present()) rules.limits = parse_limits(limits);
  if (config::Node budget = map.get("budget"); budget.present()) rules.budgets = parse_budgets(budget);
  return rules;
}

Result<Rules> parse_rules(std::string_view text) {
  if (text.empty()) return Rules{};
  // Stored rules name no variables: whoever writes them must not read the gateway's environment.
  auto document = config::Document::parse(text, "rules", [](const std::string&) -> const char* { return nullptr; });
  if (!document) return fail(Errc::invalid_argument, document.error().detail);
  config::Map map = document->root().map();
  Rules rules = parse_rules(map);
  map.done();
  if (document->failed()) return fail(Errc::invalid_argument, document->report());
  return rules;
}

}  // namespace penstock::quota
