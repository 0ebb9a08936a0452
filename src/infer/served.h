// One loaded version of a model with what serving it needs: its figures, its measured cost, its queue, and its bound on
// runs at the same time. Shared by everything in flight, so that a version taken out of service lives until its last
// run ends.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "infer/batch.h"
#include "infer/lane.h"
#include "infer/model_config.h"
#include "infer/runtime.h"
#include "infer/stats.h"

namespace penstock::infer {

// Decides from measured runs whether a run of a given size is short enough for an event loop. Any thread.
class RunCost {
 public:
  // A run of `elements` input elements took `time`. Runs no larger than one that was short before move the average;
  // a larger one raises the proven size when it was short itself.
  void record(std::size_t elements, base::Duration time, base::Duration limit);
  // True when runs of this size were measured and take less than `limit` on average.
  bool shorter_than(base::Duration limit, std::size_t elements) const {
    return elements <= proven_elements_.load(std::memory_order_relaxed) &&
           average_ns_.load(std::memory_order_relaxed) < limit.count();
  }
  // 0 while nothing was measured.
  base::Duration average() const {
    std::int64_t average = average_ns_.load(std::memory_order_relaxed);
    return base::Duration(average == kUnmeasured ? 0 : average);
  }

 private:
  // Unmeasured: nothing is proven and the average is too long for everything.
  static constexpr std::int64_t kUnmeasured = INT64_MAX;
  std::atomic<std::int64_t> average_ns_{kUnmeasured};
  std::atomic<std::size_t> proven_elements_{0};
};

// How many runs are under way. Any thread, no lock.
class Places {
 public:
  // `limit` 0 is no bound.
  bool free(std::size_t limit) const { return limit == 0 || inside() < limit; }
  // One more than before, where there is a place.
  bool try_enter(std::size_t limit);
  void leave() { inside_.fetch_sub(1); }
  std::size_t inside() const { return inside_.load(); }

 private:
  std::atomic<std::size_t> inside_{0};
};

// Whether requests come alone or in company. Waiting for others to share a run pays only where there are others. Any
// thread.
class Company {
 public:
  // One came at `now`, in the turn of its loop that began at `turn`; `others` wait or run. True when it is alone, and
  // so was everyone within `wait` before.
  bool alone(base::SteadyTime turn, base::SteadyTime now, bool others, base::Duration wait);

 private:
  static constexpr std::int64_t kNever = INT64_MIN / 2;
  std::atomic<std::int64_t> last_turn_{kNever};
  std::atomic<std::int64_t> last_company_{kNever};
};

struct Served {
  Served(std::shared_ptr<const ModelConfig> configured, std::int64_t version_number,
         std::shared_ptr<const Model> loaded, std::uint64_t bytes)
      : config(std::move(configured)),
        name(config->name),
        number(version_number),
        version(std::to_string(version_number)),
        model(std::move(loaded)),
        memory_bytes(bytes),
        joins(config->batch.max > 1 && model && batchable(model->info())),
        counts(config->instances.min > 0 || joins),
        lane(config->batch, config->instances) {}

  const std::shared_ptr<const ModelConfig> config;
  const std::string name;
  const std::int64_t number;
  const std::string version;
  const std::shared_ptr<const Model> model;
  std::uint64_t memory_bytes;              // measured while it was loaded, before anybody sees it; about
  std::atomic<std::int64_t> last_used{0};  // base::WallMicros
  Stats stats;
  RunCost cost;
  // Its requests share runs: the configuration says so, its inputs and outputs allow it, and no run has shown
  // otherwise.
  std::atomic<bool> joins;
  // Joined runs in a row that failed although each of their requests succeeded by itself.
  std::atomic<std::uint32_t> vain_joins{0};
  const bool counts;  // runs on loops take a place, too
  Places places;
  Company company;
  Lane lane;  // guarded by the lock of the one Engine that serves it
};

}  // namespace penstock::infer
