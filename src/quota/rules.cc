#include "quota/rules.h"

#include <charconv>

#include "json/value.h"
#include "quota/rules_names.h"

namespace penstock::quota {
namespace {

std::string usd_text(std::int64_t micros) {
  std::string text = fmt::format("{}.{:06}", micros / 1'000'000, micros % 1'000'000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text + "USD";
}

// The shortest figure that is read as the same share.
std::string percent_text(double share) {
  for (int digits = 1; digits < 17; ++digits) {
    std::string text = fmt::format("{:.{}g}", share * 100, digits);
    double read = 0;
    std::from_chars(text.data(), text.data() + text.size(), read);
    if (read / 100 != share) continue;
    text = fmt::format("{}%", read);
    if (text.find('e') == std::string::npos) return text;
    break;
  }
  return fmt::format("{:.17f}%", share * 100);
}

void append_rates(std::string& out, const Limits& limits, RateLimit::Unit unit, std::string_view key) {
  std::vector<std::string> texts;
  for (const RateLimit& rate : limits.rates) {
    if (rate.unit == unit) texts.push_back(fmt::format("\"{}\"", rate_text(rate)));
  }
  if (!texts.empty()) out += fmt::format("\"{}\":[{}],", key, fmt::join(texts, ","));
}

std::string limits_text(const Limits& limits) {
  std::string out = "{";
  append_rates(out, limits, RateLimit::Unit::requests, "requests");
  append_rates(out, limits, RateLimit::Unit::tokens, "tokens");
  for (auto [key, value] : {std::pair("concurrent", limits.concurrent), std::pair("input", limits.input_max),
                            std::pair("output", limits.output_max)}) {
    if (value > 0) out += fmt::format("\"{}\":{},", key, value);
  }
  if (limits.throttle.count() > 0) {
    out += fmt::format("\"throttle\":\"{}\",", base::format_duration(limits.throttle));
  }
  out.back() = '}';
  return out;
}

std::string budget_text(const BudgetRule& rule) {
  std::string out = fmt::format("{{\"amount\":\"{}\",", amount_text(rule.unit, rule.amount));
  if (rule.period == BudgetRule::Period::rolling) {
    out += fmt::format("\"rolling\":\"{}\"", base::format_duration(rule.rolling));
  } else {
    out += fmt::format("\"per\":\"{}\"", period_name(rule.period));
  }
  if (rule.zone != "UTC") {
    out += ",\"zone\":";
    json::append_quoted(out, rule.zone);
  }
  if (!rule.alerts.empty()) {
    std::vector<std::string> shares;
    for (double share : rule.alerts) shares.push_back(fmt::format("\"{}\"", percent_text(share)));
    out += fmt::format(",\"alert\":[{}]", fmt::join(shares, ","));
  }
  if (!rule.hard) out += ",\"hard\":false";
  return out + "}";
}

}  // namespace

std::string_view window_name(base::Duration window) {
  for (const WindowName& known : kWindows) {
    if (known.window == window) return known.name;
  }
  return "?";
}

std::string_view period_name(BudgetRule::Period period) { return kPeriods[static_cast<std::size_t>(period)]; }

std::string rate_text(const RateLimit& rate) { return fmt::format("{}/{}", rate.amount, window_name(rate.window)); }

std::string amount_text(BudgetRule::Unit unit, std::int64_t amount) {
  return unit == BudgetRule::Unit::tokens ? fmt::format("{}tokens", amount) : usd_text(amount);
}

std::string BudgetRule::text() const {
  std::string per = period == Period::rolling ? base::format_duration(rolling) : std::string(period_name(period));
  return fmt::format("{}/{}{}", amount_text(unit, amount), per, zone == "UTC" ? "" : fmt::format(" ({})", zone));
}

std::string to_text(const Rules& rules) {
  if (rules.empty()) return {};
  std::string out = "{";
  if (!rules.limits.empty()) out += "\"limits\":" + limits_text(rules.limits);
  if (!rules.budgets.empty()) {
    std::vector<std::string> budgets;
    for (const BudgetRule& rule : rules.budgets) budgets.push_back(budget_text(rule));
    out += fmt::format("{}\"budget\":[{}]", rules.limits.empty() ? "" : ",", fmt::join(budgets, ","));
  }
  return out + "}";
}

}  // namespace penstock::quota
