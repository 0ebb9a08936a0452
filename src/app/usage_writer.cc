#include "app/usage_writer.h"

#include "obs/log.h"

namespace penstock::app {
namespace {

// What was settled longer ago than this and the observer's visiting interval is on disk, also after a kill -9.
constexpr auto kHoldAtMost = std::chrono::milliseconds(100);
constexpr auto kComplainEvery = std::chrono::seconds(10);

}  // namespace

void UsageWriter::take(const std::vector<obs::RequestEvent>& events) {
  base::SteadyTime now = clock_.steady();
  for (const obs::RequestEvent& event : events) {
    // Health checks and unknown paths are not usage.
    if (event.model.size == 0) continue;
    if (sums_.empty()) oldest_ = now;
    store::UsageRow& row = sums_[{event.key.data, event.model.data, event.target.data, event.api.data}];
    if (row.requests == 0) {
      row.at = event.at;
      row.key = event.key;
      row.model = event.model;
      row.target = event.target;
      row.api = event.api;
    }
    ++row.requests;
    row.errors += event.error_type == obs::ErrorType::none ? 0 : 1;
    row.input_tokens += event.input_tokens;
    row.output_tokens += event.output_tokens;
    row.cached_tokens += event.cached_tokens;
  }
  if (!sums_.empty() && now - oldest_ >= kHoldAtMost) flush();
}

void UsageWriter::flush() {
  if (sums_.empty()) return;
  std::vector<store::UsageRow> rows;
  rows.reserve(sums_.size());
  for (const auto& [key, row] : sums_) rows.push_back(row);
  auto written = state_.add_usage(rows);
  if (written) {
    sums_.clear();
    return;
  }
  base::SteadyTime now = clock_.steady();
  oldest_ = now;  // try again after another interval; sums keep growing in place meanwhile
  if (complained_ != base::SteadyTime{} && now - complained_ < kComplainEvery) return;
  complained_ = now;
  obs::log(obs::Level::error, "usage cannot be written; it is kept in memory and tried again",
           {{"why", written.error().detail}});
}

}  // namespace penstock::app
