#include "app/usage_writer.h"

#include "obs/log.h"
#include "quota/carried.h"

namespace penstock::app {
namespace {

// What was settled longer ago than this and the observer's visiting interval is on disk, also after a kill -9.
constexpr auto kHoldAtMost = std::chrono::milliseconds(100);
constexpr auto kComplainEvery = std::chrono::seconds(10);
// How long to wait for another writer. Short: what waits is kept, but the observer's queues fill up meanwhile.
constexpr auto kPatience = std::chrono::milliseconds(20);
constexpr auto kLastPatience = std::chrono::seconds(2);
// Old rows go a few at a time, with room for events in between.
constexpr auto kTrimEvery = std::chrono::minutes(1);
constexpr auto kTrimNext = std::chrono::milliseconds(50);
// A wall clock that runs further ahead than this of what passed since the start was set wrongly, or set right: nothing
// is removed on its word until the next start.
constexpr auto kClockJump = std::chrono::hours(12);
// A start so long after the newest row may be one whose clock runs ahead, for it was not set yet.
constexpr auto kDoubtFor = std::chrono::hours(24);
constexpr base::WallMicros kMinute = 60'000'000;

std::int64_t micros(base::Duration time) { return std::chrono::duration_cast<std::chrono::microseconds>(time).count(); }

std::string spent_text(const quota::BudgetAlert& alert) {
  if (alert.rule.unit == quota::BudgetRule::Unit::tokens) return fmt::format("{} tokens", alert.spent);
  return fmt::format("{}.{:06} USD", alert.spent / 1'000'000, alert.spent % 1'000'000);
}

}  // namespace

UsageWriter::UsageWriter(store::Ledger ledger, const base::Clock& clock)
    : ledger_(std::move(ledger)),
      clock_(clock),
      trim_due_(clock.steady()),
      started_(clock.steady()),
      started_wall_(clock.wall()) {
  auto newest = ledger_.newest();
  doubted_ = newest && *newest > 0 && started_wall_ > *newest + micros(kClockJump);
  ledger_.set_patience(kPatience);
}

store::UsageRow* UsageWriter::row_of(const obs::RequestEvent& event) {
  Key key{event.key.data, event.team.data, event.model.data, event.target.data, event.api.data, event.at / kMinute};
  if (!rows_.empty() && key == last_) return &rows_[last_row_];
  auto found = index_.find(key);
  if (found == index_.end() && rows_.size() >= kMinutesApartRows) {
    Key first = key;
    std::get<std::int64_t>(first) = 0;
    auto earlier = index_.lower_bound(first);
    if (earlier != index_.end()) {
      Key other = earlier->first;
      std::get<std::int64_t>(other) = 0;
      if (other == first) found = earlier;
    }
  }
  if (found == index_.end()) {
    if (rows_.size() >= kWaitingRowsMax) return nullptr;
    found = index_.emplace(key, rows_.size()).first;
    rows_.push_back({event.at,
                     std::string(event.key),
                     std::string(event.team),
                     std::string(event.model),
                     std::string(event.target),
                     std::string(event.api),
                     {}});
  }
  last_ = key;
  last_row_ = found->second;
  return &rows_[last_row_];
}

void UsageWriter::count(const obs::RequestEvent& event) {
  store::UsageRow* row = row_of(event);
  if (row == nullptr) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    complain("usage is lost: too much of it waits to be written", "the disk has refused it for long");
    return;
  }
  store::UsageSums& used = row->used;
  ++used.requests;
  used.errors += event.error_type == obs::ErrorType::none ? 0 : 1;
  used.input_tokens += event.input_tokens;
  used.output_tokens += event.output_tokens;
  used.cached_tokens += event.cached_tokens;
  used.cache_write_tokens += event.cache_write_tokens;
  used.reasoning_tokens += event.reasoning_tokens;
  used.cost_micros += event.cost_micros;
  used.unpriced_requests += event.usage_known && !event.cost_known ? 1 : 0;
  used.estimated_requests += event.usage_known && event.usage_estimated ? 1 : 0;
  used.waited_micros += event.waited_nanos / 1000;
}

Result<void> UsageWriter::keep(quota::Book& book, bool successor) {
  auto meters = ledger_.meters();
  if (!meters) return std::unexpected(meters.error());
  if (successor) {
    own_.store(false, std::memory_order_relaxed);
    restored_.emplace();
    for (const store::MeterState& meter : *meters) restored_->emplace(meter.id, meter.state);
  }
  std::vector<quota::Checkpoint> checkpoints;
  checkpoints.reserve(meters->size());
  for (store::MeterState& meter : *meters) checkpoints.push_back({std::move(meter.id), std::move(meter.state)});
  std::vector<Error> unreadable = book.restore(std::move(checkpoints), now());
  if (!unreadable.empty()) {
    const Error& first = unreadable.front();
    return fail(
        first.code,
        fmt::format("ledger.db: how far limits and budgets of '{}' stand cannot be read ({}){}: put a backup in "
                    "its place, or let them begin anew with `sqlite3 ledger.db \"DELETE FROM meters WHERE "
                    "id='{}'\"`",
                    first.source, first.detail,
                    unreadable.size() > 1 ? fmt::format(", nor those of {} others", unreadable.size() - 1) : "",
                    first.source));
  }
  book_ = &book;
  return {};
}

base::Duration UsageWriter::take(const std::vector<obs::RequestEvent>& events) {
  base::SteadyTime now = clock_.steady();
  for (const obs::RequestEvent& event : events) {
    // Health checks and unknown paths are not usage.
    if (event.model.size == 0) continue;
    if (rows_.empty()) waiting_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    count(event);
  }
  waiting_.store(rows_.size(), std::memory_order_relaxed);
  bool metered = book_ != nullptr && metered_.load(std::memory_order_relaxed);
  if (due_ == base::SteadyTime{} && (anything() || metered)) due_ = now + kHoldAtMost;
  if (due_ != base::SteadyTime{} && now >= due_) {
    write();
    due_ = anything() || metered ? now + kHoldAtMost : base::SteadyTime{};
  }
  bool trimming = now >= trim_due_ && trim(now);
  base::Duration again{};
  if (due_ != base::SteadyTime{}) again = std::max<base::Duration>(due_ - now, std::chrono::milliseconds(1));
  if (trimming) again = again == base::Duration::zero() ? kTrimNext : std::min<base::Duration>(again, kTrimNext);
  return again;
}

void UsageWriter::flush() {
  ledger_.set_patience(kLastPatience);
  write();
  ledger_.set_patience(kPatience);
}

// What the predecessor wrote between our start and its letting go.
bool UsageWriter::catch_up() {
  auto meters = ledger_.meters();
  if (!meters) {
    complain("what limits and budgets came to in the other process cannot be read; tried again", meters.error().detail);
    return false;
  }
  States gone = std::move(*restored_);
  restored_.reset();
  auto went_on = [&](const std::string& id, const std::string& before, const std::string& after) {
    if (before == after) return;
    // An account that is not in use yet begins with the newer state.
    if (!book_->restore({quota::carried(id, before, after)}, now()).empty()) (void)book_->restore({{id, after}}, now());
  };
  for (const store::MeterState& meter : *meters) {
    auto known = gone.find(meter.id);
    went_on(meter.id, known == gone.end() ? "" : known->second, meter.state);
    if (known != gone.end()) gone.erase(known);
  }
  for (const auto& [id, state] : gone) went_on(id, state, "");
  return true;
}

// An account that is not in use yet is waited for: what it has restored is not written before.
void UsageWriter::take_up_carried() {
  if (auto more = ledger_.carried(carried_read_); more) {
    for (store::CarriedMeter& meter : *more) {
      carried_read_ = meter.sequence;
      waiting_carried_.push_back(std::move(meter));
    }
  }
  std::erase_if(waiting_carried_, [&](const store::CarriedMeter& meter) {
    auto errors = book_->restore({quota::carried(meter.id, meter.before, meter.after)}, now());
    if (!errors.empty() && errors.front().code == Errc::not_found) return false;
    if (!errors.empty()) complain("what another process left of limits and budgets is damaged", errors.front().detail);
    taken_up_.push_back(meter.sequence);
    return true;
  });
}

// The ledger has all of it: from here on only the differences are left to the other process.
void UsageWriter::note_told() {
  auto meters = ledger_.meters();
  if (!meters) return complain("the meters cannot be read", meters.error().detail);
  for (store::MeterState& meter : *meters) told_[std::move(meter.id)] = std::move(meter.state);
  let_go_done_ = true;
}

// After the events were taken: a call is charged to its budgets before its event is recorded, so that no row is ever
// there without its charge.
void UsageWriter::look_at_meters() {
  if (book_ == nullptr) return;
  if (restored_ && (!own_.load(std::memory_order_relaxed) || !catch_up())) return;
  if (!let_go_done_) take_up_carried();
  for (quota::Checkpoint& checkpoint : book_->take_checkpoints(now())) {
    if (!let_go_done_) {
      meters_[std::move(checkpoint.id)] = std::move(checkpoint.state);
      continue;
    }
    std::string& told = told_[checkpoint.id];
    to_leave_.push_back({0, checkpoint.id, told, checkpoint.state});
    told = std::move(checkpoint.state);
  }
  for (const quota::BudgetAlert& alert : book_->take_alerts()) {
    alerts_.fetch_add(1, std::memory_order_relaxed);
    obs::log(obs::Level::warn, fmt::format("budget reached {:.0f}%", alert.share * 100),
             {{"account", alert.shown},
              {"budget", alert.rule.text()},
              {"spent", spent_text(alert)},
              {"renews", alert.renews == 0 ? "" : base::to_rfc3339(alert.renews)}});
  }
}

void UsageWriter::write() {
  bool letting_go = let_go_.load(std::memory_order_relaxed) && !let_go_done_ && book_ != nullptr;
  look_at_meters();
  if (!anything()) {
    if (letting_go) note_told();
    ++looks_;
    return;
  }
  std::vector<store::MeterState> meters;
  meters.reserve(meters_.size());
  for (const auto& [id, state] : meters_) meters.push_back({id, state});
  auto written = ledger_.write(rows_, meters, clock_.wall(), {to_leave_, taken_up_});
  if (!written) {
    failures_.fetch_add(1, std::memory_order_relaxed);  // tried again after another interval; sums grow in place
    complain("usage cannot be written; it is kept in memory and tried again", written.error().detail);
    return;
  }
  rows_.clear();
  index_.clear();
  meters_.clear();
  to_leave_.clear();
  taken_up_.clear();
  if (letting_go) note_told();
  ++looks_;
  waiting_.store(0, std::memory_order_relaxed);
}

// True: there is more to do soon.
bool UsageWriter::trim(base::SteadyTime now) {
  trim_due_ = now + kTrimEvery;
  base::WallMicros wall = clock_.wall();
  if (wall > started_wall_ + micros(now - started_) + micros(kClockJump)) return false;
  if (doubted_ && now - started_ < kDoubtFor) return false;
  store::UsageRetention keep;
  {
    std::lock_guard lock(keep_mutex_);
    keep = keep_;
  }
  auto more = ledger_.trim(keep, wall);
  if (!more) complain("old usage cannot be removed", more.error().detail);
  if (!more || !*more) return false;
  trim_due_ = now + kTrimNext;
  return true;
}

void UsageWriter::set_retention(const store::UsageRetention& keep) {
  std::lock_guard lock(keep_mutex_);
  keep_ = keep;
}

void UsageWriter::complain(std::string_view what, const std::string& why) {
  base::SteadyTime now = clock_.steady();
  if (complained_ != base::SteadyTime{} && now - complained_ < kComplainEvery) return;
  complained_ = now;
  obs::log(obs::Level::error, what, {{"why", why}});
}

void UsageWriter::collect(obs::MetricWriter& writer) const {
  std::size_t rows = waiting_.load(std::memory_order_relaxed);
  base::Duration age{};
  if (rows > 0)
    age = clock_.steady().time_since_epoch() - base::Duration(waiting_since_.load(std::memory_order_relaxed));
  auto one = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    writer.family(name, type, help);
    writer.sample(name, {}, value);
  };
  one("penstock_usage_waiting_rows", "gauge", "Usage rows that wait to be written.", static_cast<double>(rows));
  one("penstock_usage_oldest_seconds", "gauge", "Age of the oldest usage that waits to be written.",
      std::chrono::duration<double>(age).count());
  one("penstock_usage_write_failures_total", "counter",
      "Attempts to write usage that failed; it is kept and tried again.",
      static_cast<double>(failures_.load(std::memory_order_relaxed)));
  one("penstock_budget_alerts_total", "counter", "Times a budget reached one of its alert marks.",
      static_cast<double>(alerts_.load(std::memory_order_relaxed)));
  one("penstock_usage_lost_total", "counter", "Calls that no usage row was left for while the disk refused them.",
      static_cast<double>(lost_.load(std::memory_order_relaxed)));
}

}  // namespace penstock::app
