#include "quota/checkpoint.h"

#include "json/value.h"
#include "quota/rules_names.h"

namespace penstock::quota {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// No calendar period that ended so long ago is of interest, even to a clock that is set back.
constexpr base::WallMicros kLongGone = microseconds(std::chrono::days(62)).count();

std::string_view unit_name(RateLimit::Unit unit) { return unit == RateLimit::Unit::tokens ? "tokens" : "requests"; }
std::string_view unit_name(BudgetRule::Unit unit) { return unit == BudgetRule::Unit::tokens ? "tokens" : "USD"; }

base::WallMicros to_wall(base::SteadyTime time, const Now& now) {
  return now.wall + std::chrono::duration_cast<microseconds>(time - now.steady).count();
}

// What lies ahead counts as now: a clock that was set back makes nothing last longer.
base::SteadyTime to_steady(base::WallMicros time, const Now& now) {
  base::WallMicros ahead =
      time > now.wall ? 0 : std::max(time - now.wall, -microseconds(std::chrono::days(400)).count());
  return now.steady + microseconds(ahead);
}

json::Value save_period(const BudgetPeriod& period) {
  return json::Array{period.begin, period.end, period.spent, period.held, period.extra, period.alerted};
}

// What was not told may have been heard: it counts as known.
void save_share(const std::unique_ptr<MeterShare>& share, json::Value& meter) {
  if (!share || share->period < 0) return;
  meter.get_array().push_back(
      json::Array{share->period, share->charged.known + share->charged.untold, share->back.known + share->back.untold});
}

json::Value save_budget(const BudgetPlan& plan, const BudgetMeter& meter, const Now& now) {
  if (plan.calendar()) {
    json::Array periods;
    for (const BudgetPeriod& period : meter.periods()) periods.push_back(save_period(period));
    return json::Array{unit_name(plan.rule.unit), period_name(plan.rule.period), plan.rule.zone, std::move(periods)};
  }
  json::Array parts;
  for (const auto& [time, spent] : meter.parts(plan)) parts.push_back(json::Array{to_wall(time, now), spent});
  return json::Array{unit_name(plan.rule.unit), std::chrono::ceil<seconds>(plan.rule.rolling).count(),
                     meter.present().alerted, meter.present().held, std::move(parts)};
}

// Reads the elements of an array in turn; anything unexpected spoils the whole.
class Reader {
 public:
  explicit Reader(const json::Value& value) : array_(value.if_array()) {}
  bool good() const { return array_ != nullptr; }
  std::size_t left() const { return good() ? array_->size() - at_ : 0; }
  const json::Value& next() {
    static const json::Value kNull;
    if (left() > 0) return (*array_)[at_++];
    array_ = nullptr;
    return kNull;
  }
  std::string text() {
    const auto* string = next().if_string();
    if (string == nullptr) array_ = nullptr;
    return string == nullptr ? std::string() : std::string(*string);
  }
  std::int64_t number() {
    const json::Value& value = next();
    if (value.is_int64()) return value.get_int64();
    array_ = nullptr;
    return 0;
  }

 private:
  const json::Array* array_;
  std::size_t at_ = 0;
};

std::int64_t sum(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

std::optional<Saved::Share> read_share(Reader& reader) {
  if (reader.left() == 0) return std::nullopt;
  Reader share(reader.next());
  Saved::Share read;
  read.period = share.number();
  read.charged = std::max<std::int64_t>(share.number(), 0);
  read.back = std::max<std::int64_t>(share.number(), 0);
  if (!share.good()) return std::nullopt;
  return read;
}

void restore_share(const std::optional<Saved::Share>& saved, std::unique_ptr<MeterShare>& share) {
  if (!saved) return;
  share = std::make_unique<MeterShare>();
  share->period = saved->period;
  share->charged.known = saved->charged;
  share->back.known = saved->back;
}

bool read_rate(const json::Value& value, const Now& now, Saved& saved) {
  Reader reader(value);
  std::string unit = reader.text();
  std::int64_t window = reader.number();
  std::int64_t full_at = reader.number();
  if (!reader.good() || window < 1 || window > 86400 || (unit != "tokens" && unit != "requests")) return false;
  // At most a whole window and a day of debt.
  auto ahead = std::clamp<base::WallMicros>(full_at - now.wall, 0, microseconds(seconds(window + 86400)).count());
  saved.rates.push_back({unit == "tokens" ? RateLimit::Unit::tokens : RateLimit::Unit::requests, seconds(window),
                         now.steady + microseconds(ahead), read_share(reader)});
  return true;
}

bool read_periods(const json::Value& value, const Now& now, Saved::Budget& budget) {
  Reader list(value);
  while (list.left() > 0) {
    Reader reader(list.next());
    BudgetPeriod period;
    period.begin = reader.number();
    period.end = reader.number();
    period.spent = reader.number();
    period.spent = sum(period.spent, reader.number());
    period.extra = reader.number();
    period.alerted = static_cast<std::uint32_t>(reader.number());
    if (!reader.good() || period.begin >= period.end || period.begin < 0) return false;
    if (now.wall < sum(period.end, kLongGone)) budget.periods.push_back(period);
  }
  return list.good();
}

bool read_parts(Reader& reader, const Now& now, Saved::Budget& budget) {
  budget.alerted = static_cast<std::uint32_t>(reader.number());
  std::int64_t held = reader.number();
  Reader list(reader.next());
  while (list.left() > 0) {
    Reader part(list.next());
    base::WallMicros time = part.number();
    std::int64_t spent = part.number();
    if (!part.good()) return false;
    base::SteadyTime at = to_steady(time, now);
    if (now.steady - at < 2 * budget.rule.rolling) budget.parts.emplace_back(at, spent);
  }
  if (held != 0) budget.parts.emplace_back(now.steady, held);
  return list.good() && reader.good();
}

bool read_budget(const json::Value& value, const Now& now, Saved& saved) {
  Reader reader(value);
  Saved::Budget budget;
  std::string unit = reader.text();
  if (unit != "tokens" && unit != "USD") return false;
  budget.rule.unit = unit == "tokens" ? BudgetRule::Unit::tokens : BudgetRule::Unit::micro_usd;
  const json::Value& period = reader.next();
  if (period.is_int64()) {
    budget.rule.period = BudgetRule::Period::rolling;
    budget.rule.rolling = seconds(std::clamp<std::int64_t>(period.get_int64(), 60, 366 * 86400));
    if (!read_parts(reader, now, budget)) return false;
  } else {
    const auto* name = period.if_string();
    auto found = std::ranges::find(kPeriods, name == nullptr ? std::string_view() : std::string_view(*name));
    if (found == kPeriods.end()) return false;
    budget.rule.period = static_cast<BudgetRule::Period>(found - kPeriods.begin());
    budget.rule.zone = reader.text();
    if (!read_periods(reader.next(), now, budget) || !reader.good()) return false;
  }
  budget.share = read_share(reader);
  if (!budget.periods.empty() || !budget.parts.empty()) saved.budgets.push_back(std::move(budget));
  return true;
}

bool read_all(const json::Value& state, const Now& now, Saved& saved) {
  for (auto [key, read] : {std::pair("rates", &read_rate), std::pair("budgets", &read_budget)}) {
    const json::Value* list = json::find(state, key);
    if (list == nullptr) continue;
    Reader reader(*list);
    while (reader.left() > 0) {
      if (!read(reader.next(), now, saved)) return false;
    }
    if (!reader.good()) return false;
  }
  return true;
}

bool same_period(const BudgetRule& saved, const BudgetRule& rule) {
  if (saved.unit != rule.unit || saved.period != rule.period) return false;
  if (rule.period != BudgetRule::Period::rolling) return saved.zone == rule.zone;
  return saved.rolling == std::chrono::ceil<seconds>(rule.rolling);
}

}  // namespace

bool durable(const RateLimit& limit) { return limit.window >= std::chrono::hours(1); }

std::string save(const Meters& meters, const Now& now) {
  json::Array rates;
  for (std::size_t i = 0; i < meters.rates.size(); ++i) {
    const RateLimit& limit = meters.plan->rules.limits.rates[i];
    base::Duration full_after = meters.rates[i].meter.full_after(now.steady);
    if (!durable(limit) || full_after.count() == 0) continue;
    json::Value rate = json::Array{unit_name(limit.unit), std::chrono::duration_cast<seconds>(limit.window).count(),
                                   to_wall(now.steady + full_after, now)};
    save_share(meters.rates[i].share, rate);
    rates.push_back(std::move(rate));
  }
  json::Array budgets;
  for (std::size_t i = 0; i < meters.budgets.size(); ++i) {
    if (meters.budgets[i].meter.blank()) continue;
    json::Value budget = save_budget(meters.plan->budgets[i], meters.budgets[i].meter, now);
    save_share(meters.budgets[i].share, budget);
    budgets.push_back(std::move(budget));
  }
  if (rates.empty() && budgets.empty()) return {};
  json::Object state{{"v", 1}};
  if (!rates.empty()) state.emplace("rates", std::move(rates));
  if (!budgets.empty()) state.emplace("budgets", std::move(budgets));
  return json::dump(state);
}

Result<Saved> read_saved(std::string_view state, const Now& now) {
  Saved saved;
  if (state.empty()) return saved;
  auto value = json::parse(state);
  if (!value) return fail(Errc::data_loss, "a checkpoint is damaged: " + value.error().detail);
  std::int64_t version = json::int_or(*value, "v", 0);
  if (version > 1) {
    return fail(Errc::unimplemented, fmt::format("a checkpoint of version {} is newer than this gateway", version));
  }
  if (version != 1 || !read_all(*value, now, saved)) return fail(Errc::data_loss, "a checkpoint is damaged");
  return saved;
}

void restore_meters(Meters& meters, const Saved& saved) {
  for (std::size_t i = 0; i < meters.rates.size(); ++i) {
    const RateLimit& limit = meters.plan->rules.limits.rates[i];
    for (const Saved::Rate& rate : saved.rates) {
      if (rate.unit != limit.unit || rate.window != limit.window) continue;
      meters.rates[i].meter.restore(rate.full_at);
      restore_share(rate.share, meters.rates[i].share);
    }
  }
  for (std::size_t i = 0; i < meters.budgets.size(); ++i) {
    const BudgetPlan& plan = meters.plan->budgets[i];
    for (const Saved::Budget& budget : saved.budgets) {
      if (!same_period(budget.rule, plan.rule)) continue;
      restore_share(budget.share, meters.budgets[i].share);
      if (plan.calendar()) {
        meters.budgets[i].meter.restore(budget.periods);
      } else {
        meters.budgets[i].meter.restore(plan, budget.parts, budget.alerted);
      }
    }
  }
}

namespace {

const BudgetPeriod* find_period(const Saved::Budget* budget, base::WallMicros begin) {
  if (budget == nullptr) return nullptr;
  auto found = std::ranges::find(budget->periods, begin, &BudgetPeriod::begin);
  return found == budget->periods.end() ? nullptr : &*found;
}

void add_periods(BudgetMeter& meter, const Saved::Budget* before, const Saved::Budget* after) {
  std::vector<base::WallMicros> begins;
  for (const Saved::Budget* budget : {before, after}) {
    if (budget == nullptr) continue;
    for (const BudgetPeriod& period : budget->periods)
      if (std::ranges::find(begins, period.begin) == begins.end()) begins.push_back(period.begin);
  }
  for (base::WallMicros begin : begins) {
    const BudgetPeriod* from = find_period(before, begin);
    const BudgetPeriod* to = find_period(after, begin);
    BudgetPeriod more{.begin = begin};
    more.spent = (to == nullptr ? 0 : to->spent) - (from == nullptr ? 0 : from->spent);
    more.extra = (to == nullptr ? 0 : to->extra) - (from == nullptr ? 0 : from->extra);
    meter.add(more);
  }
}

// Parts that have left the window meanwhile leave it here, too.
std::int64_t more_in_parts(const Saved::Budget* before, const Saved::Budget* after) {
  if (after == nullptr || after->parts.empty()) return 0;
  std::int64_t more = 0;
  base::SteadyTime oldest = after->parts.front().first - seconds(1);
  for (const auto& [time, spent] : after->parts) more = sum(more, spent);
  if (before == nullptr) return more;
  for (const auto& [time, spent] : before->parts)
    if (time >= oldest) more = sum(more, -spent);
  return more;
}

const Saved::Budget* find_budget(const Saved& saved, const BudgetRule& rule) {
  for (const Saved::Budget& budget : saved.budgets)
    if (same_period(budget.rule, rule)) return &budget;
  return nullptr;
}

base::SteadyTime full_at(const Saved& saved, const RateLimit& limit, base::SteadyTime now) {
  for (const Saved::Rate& rate : saved.rates)
    if (rate.unit == limit.unit && rate.window == limit.window) return rate.full_at;
  return now;
}

}  // namespace

void add_meters(Meters& meters, const Saved& before, const Saved& after, bool shared, const Now& now) {
  for (std::size_t i = 0; i < meters.rates.size(); ++i) {
    const RateLimit& limit = meters.plan->rules.limits.rates[i];
    base::Duration later = full_at(after, limit, now.steady) - full_at(before, limit, now.steady);
    if (later.count() == 0 || (shared && meters.rates[i].share)) continue;
    RateMeter& meter = meters.rates[i].meter;
    meter.restore(now.steady + std::max<base::Duration>(meter.full_after(now.steady) + later, base::Duration::zero()));
  }
  for (std::size_t i = 0; i < meters.budgets.size(); ++i) {
    if (shared && meters.budgets[i].share) continue;
    const BudgetPlan& plan = meters.plan->budgets[i];
    BudgetMeter& meter = meters.budgets[i].meter;
    const Saved::Budget* from = find_budget(before, plan.rule);
    const Saved::Budget* to = find_budget(after, plan.rule);
    meter.advance(plan, now);
    if (plan.calendar()) {
      add_periods(meter, from, to);
    } else {
      meter.spend(more_in_parts(from, to));
    }
  }
}

}  // namespace penstock::quota
