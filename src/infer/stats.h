// The figures of one version of a model.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace penstock::infer {

// A count and the time it took.
struct Tally {
  std::uint64_t count = 0;
  std::uint64_t nanoseconds = 0;
};

// Upper bounds in seconds of the histograms of phases; +Inf is implied.
extern const std::array<double, 16> kPhaseBounds;
using PhaseCounts = std::array<std::uint64_t, 17>;

// Runs of one size.
struct BatchTally {
  std::size_t rows = 0;
  Tally input = {};    // putting the rows together
  Tally compute = {};  // inside the runtime
  Tally output = {};   // taking them apart
};

struct StatsView {
  Tally success = {};  // whole requests, from arrival to result
  Tally failure = {};
  Tally queue = {};                      // waiting for a thread, an instance or a batch
  Tally input = {};                      // putting requests together
  Tally compute = {};                    // inside the runtime, per request
  Tally output = {};                     // taking results apart
  std::uint64_t inferences = 0;          // rows: the first dimension of the first input
  std::uint64_t executions = 0;          // runs of the runtime that succeeded
  std::uint64_t inline_runs = 0;         // of `executions`, how many ran on the caller's loop
  std::uint64_t last_millis = 0;         // Unix time of the last request; 0 for never
  std::uint64_t rejected = 0;            // of `failure`: the queue was full, or the time ran out in it
  std::uint64_t cancelled = 0;           // of `failure`: nobody waited any more
  std::uint64_t invalid = 0;             // of `failure`: the request was not what the model takes
  std::uint64_t pending = 0;             // in the queue now
  std::uint64_t running = 0;             // runs on the inference threads now
  std::vector<BatchTally> batches = {};  // ascending; sizes above 128 are counted as the next power of two
  // By phase, requests within each of kPhaseBounds and above: not added up.
  PhaseCounts queue_within{};
  PhaseCounts compute_within{};
  PhaseCounts total_within{};
};

// How long one request took, by phase.
struct Phases {
  base::Duration queue{};
  base::Duration input{};
  base::Duration compute{};
  base::Duration output{};
  base::Duration total{};
};

enum class Failure { runtime, invalid, rejected, cancelled };

// Any thread may write and read. A view is not one instant: its figures may be one request apart.
class Stats {
 public:
  // A run of `rows` ended well; the times of `phases` but queue and total are the run's.
  void executed(std::size_t rows, const Phases& phases);
  // A request of `rows` was answered by such a run. `arrived`: wall clock.
  void succeeded(std::size_t rows, const Phases& phases, base::WallMicros arrived, bool inline_run);
  void failed(Failure failure, base::Duration total, base::WallMicros arrived);
  void entered() { pending_.fetch_add(1); }
  void left(std::uint64_t requests) { pending_.fetch_sub(requests); }
  std::uint64_t pending() const { return pending_.load(); }
  void began() { running_.fetch_add(1, std::memory_order_relaxed); }
  void ended() { running_.fetch_sub(1, std::memory_order_relaxed); }
  StatsView view() const;

 private:
  using Count = std::atomic<std::uint64_t>;
  // Sizes up to 128 as they are, then powers of two up to 2^63.
  static constexpr std::size_t kExactMax = 128;
  static constexpr std::size_t kSizes = kExactMax + 1 + 56;
  struct Size {
    Count runs{0};
    Count input_ns{0}, compute_ns{0}, output_ns{0};
  };
  struct Phase {
    std::array<Count, 17> within{};
    Count nanoseconds{0};
    void add(base::Duration time);
    Tally view(PhaseCounts& within_view) const;
  };
  static std::size_t place_of(std::size_t rows);
  static std::size_t rows_at(std::size_t place);

  Phase queue_, compute_, total_;
  std::array<Size, kSizes> sizes_;
  std::array<Count, 4> failures_{};  // by Failure
  Count failure_ns_{0}, input_ns_{0}, output_ns_{0};
  Count inferences_{0}, inline_runs_{0}, last_millis_{0}, pending_{0}, running_{0};
};

}  // namespace penstock::infer
