#include "infer/served.h"

namespace penstock::infer {

const std::array<double, 16> kPhaseBounds{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                          0.005,   0.01,     0.025,   0.05,   0.1,     0.25,   1,     5};

void Stats::Cell::add(base::Duration time) {
  count.fetch_add(1, std::memory_order_relaxed);
  nanoseconds.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0)), std::memory_order_relaxed);
}

Tally Stats::Cell::view() const {
  return {count.load(std::memory_order_relaxed), nanoseconds.load(std::memory_order_relaxed)};
}

void Stats::succeeded(base::Duration queue, base::Duration compute, base::Duration total, std::uint64_t rows,
                      bool inline_run) {
  success_.add(total);
  queue_.add(queue);
  compute_.add(compute);
  inferences_.fetch_add(rows, std::memory_order_relaxed);
  if (inline_run) inline_runs_.fetch_add(1, std::memory_order_relaxed);
  last_millis_.store(static_cast<std::uint64_t>(base::system_clock().wall() / 1000), std::memory_order_relaxed);
}

void Stats::failed(base::Duration total) {
  failure_.add(total);
  last_millis_.store(static_cast<std::uint64_t>(base::system_clock().wall() / 1000), std::memory_order_relaxed);
}

StatsView Stats::view() const {
  StatsView view;
  view.success = success_.view();
  view.failure = failure_.view();
  view.queue = queue_.view();
  view.compute = compute_.view();
  view.inferences = inferences_.load(std::memory_order_relaxed);
  view.executions = view.compute.count;
  view.inline_runs = inline_runs_.load(std::memory_order_relaxed);
  view.last_millis = last_millis_.load(std::memory_order_relaxed);
  return view;
}

void RunCost::record(std::size_t elements, base::Duration time, base::Duration limit) {
  std::int64_t taken = std::max<std::int64_t>(time.count(), 1);
  std::size_t proven = proven_elements_.load(std::memory_order_relaxed);
  std::int64_t average = average_ns_.load(std::memory_order_relaxed);
  if (elements > proven && average != kUnmeasured && taken >= limit.count()) return;
  // One interrupted run must not send a short model to the pool for long: its weight is bounded.
  if (average != kUnmeasured) taken = average + (std::min(taken, 2 * limit.count()) - average) / 16;
  average_ns_.store(taken, std::memory_order_relaxed);
  // Two threads may lose one of two updates: the next run repairs it.
  if (elements > proven) proven_elements_.store(elements, std::memory_order_relaxed);
}

bool Gate::try_enter() {
  if (limit_ == 0) return true;
  std::lock_guard lock(mutex_);
  if (inside_ >= limit_) return false;
  ++inside_;
  return true;
}

bool Gate::wait(Work& work, bool& entered) {
  std::lock_guard lock(mutex_);
  entered = inside_ < limit_;
  if (entered) {
    ++inside_;
    return true;
  }
  if (waiting_.size() >= waiting_max_) return false;
  waiting_.push_back(std::move(work));
  return true;
}

std::optional<Gate::Work> Gate::leave() {
  if (limit_ == 0) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (waiting_.empty()) {
    --inside_;
    return std::nullopt;
  }
  Work next = std::move(waiting_.front());
  waiting_.pop_front();
  return next;
}

}  // namespace penstock::infer
