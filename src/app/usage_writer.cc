#include "app/usage_writer.h"

#include "obs/log.h"

namespace penstock::app {
namespace {

// What was settled longer ago than this and the observer's visiting interval is on disk, also after a kill -9.
constexpr auto kHoldAtMost = std::chrono::milliseconds(100);
constexpr auto kComplainEvery = std::chrono::seconds(10);
// How long to wait for another writer. Short: what waits is kept, but the observer's queues fill up meanwhile.
constexpr auto kPatience = std::chrono::milliseconds(20);
constexpr auto kLastPatience = std::chrono::seconds(2);

}  // namespace

UsageWriter::UsageWriter(store::State state, const base::Clock& clock) : state_(std::move(state)), clock_(clock) {
  state_.set_patience(kPatience);
}

store::UsageRow& UsageWriter::row_of(const obs::RequestEvent& event) {
  Key key{event.key.data, event.model.data, event.target.data, event.api.data};
  if (last_ != sums_.end() && last_->first == key) return last_->second;
  last_ = sums_.try_emplace(key).first;
  store::UsageRow& row = last_->second;
  if (row.requests == 0) {
    row.at = event.at;
    row.key = event.key;
    row.model = event.model;
    row.target = event.target;
    row.api = event.api;
  }
  return row;
}

base::Duration UsageWriter::take(const std::vector<obs::RequestEvent>& events) {
  base::SteadyTime now = clock_.steady();
  for (const obs::RequestEvent& event : events) {
    // Health checks and unknown paths are not usage.
    if (event.model.size == 0) continue;
    if (sums_.empty()) {
      due_ = now + kHoldAtMost;
      waiting_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    }
    store::UsageRow& row = row_of(event);
    ++row.requests;
    row.errors += event.error_type == obs::ErrorType::none ? 0 : 1;
    row.input_tokens += event.input_tokens;
    row.output_tokens += event.output_tokens;
    row.cached_tokens += event.cached_tokens;
  }
  waiting_.store(sums_.size(), std::memory_order_relaxed);
  if (sums_.empty()) return base::Duration::zero();
  if (now >= due_) write();
  return sums_.empty() ? base::Duration::zero() : std::max<base::Duration>(due_ - now, std::chrono::milliseconds(1));
}

void UsageWriter::flush() {
  state_.set_patience(kLastPatience);
  write();
  state_.set_patience(kPatience);
}

void UsageWriter::write() {
  if (sums_.empty()) return;
  std::vector<store::UsageRow> rows;
  rows.reserve(sums_.size());
  for (const auto& [key, row] : sums_) rows.push_back(row);
  auto written = state_.add_usage(rows);
  if (!written) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    due_ = clock_.steady() + kHoldAtMost;  // try again after another interval; sums keep growing in place meanwhile
    complain(written.error());
    return;
  }
  sums_.clear();
  last_ = sums_.end();
  waiting_.store(0, std::memory_order_relaxed);
}

void UsageWriter::complain(const Error& error) {
  base::SteadyTime now = clock_.steady();
  if (complained_ != base::SteadyTime{} && now - complained_ < kComplainEvery) return;
  complained_ = now;
  obs::log(obs::Level::error, "usage cannot be written; it is kept in memory and tried again", {{"why", error.detail}});
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
}

}  // namespace penstock::app
