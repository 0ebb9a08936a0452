#include "infer/stats.h"

#include <algorithm>
#include <bit>

namespace penstock::infer {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

std::uint64_t nanos(base::Duration time) { return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0)); }

constexpr std::array<std::uint64_t, 16> kBoundNanos{
    10'000,    25'000,     50'000,     100'000,    250'000,     500'000,     1'000'000,     2'500'000,
    5'000'000, 10'000'000, 25'000'000, 50'000'000, 100'000'000, 250'000'000, 1'000'000'000, 5'000'000'000};

}  // namespace

const std::array<double, 16> kPhaseBounds{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                          0.005,   0.01,     0.025,   0.05,   0.1,     0.25,   1,     5};

void Stats::Phase::add(base::Duration time) {
  std::uint64_t taken = nanos(time);
  std::size_t place = 0;
  while (place < kBoundNanos.size() && taken > kBoundNanos[place]) ++place;
  within[place].fetch_add(1, kRelaxed);
  if (taken > 0) nanoseconds.fetch_add(taken, kRelaxed);
}

Tally Stats::Phase::view(PhaseCounts& within_view) const {
  Tally tally{.count = 0, .nanoseconds = nanoseconds.load(kRelaxed)};
  for (std::size_t i = 0; i < within.size(); ++i) {
    within_view[i] = within[i].load(kRelaxed);
    tally.count += within_view[i];
  }
  return tally;
}

std::size_t Stats::place_of(std::size_t rows) {
  if (rows <= kExactMax) return rows;
  // 129..256 is the first place after the exact ones.
  return kExactMax + static_cast<std::size_t>(std::bit_width(rows - 1) - std::bit_width(kExactMax - 1));
}

std::size_t Stats::rows_at(std::size_t place) { return place <= kExactMax ? place : kExactMax << (place - kExactMax); }

void Stats::executed(std::size_t rows, const Phases& phases) {
  Size& size = sizes_[std::min(place_of(rows), kSizes - 1)];
  size.runs.fetch_add(1, kRelaxed);
  size.compute_ns.fetch_add(nanos(phases.compute), kRelaxed);
  if (phases.input.count() > 0) size.input_ns.fetch_add(nanos(phases.input), kRelaxed);
  if (phases.output.count() > 0) size.output_ns.fetch_add(nanos(phases.output), kRelaxed);
}

void Stats::succeeded(std::size_t rows, const Phases& phases, base::WallMicros arrived, bool inline_run) {
  total_.add(phases.total);
  compute_.add(phases.compute);
  inferences_.fetch_add(rows, kRelaxed);
  if (inline_run) {
    inline_runs_.fetch_add(1, kRelaxed);  // view() adds them to those that waited for nothing
  } else {
    queue_.add(phases.queue);
    input_ns_.fetch_add(nanos(phases.input), kRelaxed);
    output_ns_.fetch_add(nanos(phases.output), kRelaxed);
  }
  last_millis_.store(static_cast<std::uint64_t>(arrived) / 1000, kRelaxed);
}

void Stats::failed(Failure failure, base::Duration total, base::WallMicros arrived) {
  failures_[static_cast<std::size_t>(failure)].fetch_add(1, kRelaxed);
  failure_ns_.fetch_add(nanos(total), kRelaxed);
  last_millis_.store(static_cast<std::uint64_t>(arrived) / 1000, kRelaxed);
}

StatsView Stats::view() const {
  StatsView view;
  view.inline_runs = inline_runs_.load(kRelaxed);
  view.success = total_.view(view.total_within);
  view.compute = compute_.view(view.compute_within);
  view.queue = queue_.view(view.queue_within);
  view.queue.count += view.inline_runs;
  view.queue_within[0] += view.inline_runs;
  view.input = {view.success.count, input_ns_.load(kRelaxed)};
  view.output = {view.success.count, output_ns_.load(kRelaxed)};
  for (const Count& count : failures_) view.failure.count += count.load(kRelaxed);
  view.failure.nanoseconds = failure_ns_.load(kRelaxed);
  view.invalid = failures_[static_cast<std::size_t>(Failure::invalid)].load(kRelaxed);
  view.rejected = failures_[static_cast<std::size_t>(Failure::rejected)].load(kRelaxed);
  view.cancelled = failures_[static_cast<std::size_t>(Failure::cancelled)].load(kRelaxed);
  view.inferences = inferences_.load(kRelaxed);
  view.last_millis = last_millis_.load(kRelaxed);
  view.pending = pending();
  view.running = running_.load(kRelaxed);
  for (std::size_t place = 0; place < kSizes; ++place) {
    const Size& size = sizes_[place];
    std::uint64_t runs = size.runs.load(kRelaxed);
    if (runs == 0) continue;
    view.executions += runs;
    view.batches.push_back({.rows = rows_at(place),
                            .input = {runs, size.input_ns.load(kRelaxed)},
                            .compute = {runs, size.compute_ns.load(kRelaxed)},
                            .output = {runs, size.output_ns.load(kRelaxed)}});
  }
  return view;
}

}  // namespace penstock::infer
