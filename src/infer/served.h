// One loaded version of a model with what serving it needs: its figures, its measured cost, and its bound on runs at
// the same time. Shared by everything in flight, so that a version taken out of service lives until its last run ends.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "infer/model_config.h"
#include "infer/runtime.h"
#include "infer/stats.h"

namespace penstock::infer {

// Any thread may write and read. A view is not one instant: its figures may be one request apart.
class Stats {
 public:
  void succeeded(base::Duration queue, base::Duration compute, base::Duration total, std::uint64_t rows,
                 bool inline_run);
  void failed(base::Duration total);
  StatsView view() const;

 private:
  struct Cell {
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint64_t> nanoseconds{0};
    void add(base::Duration time);
    Tally view() const;
  };
  Cell success_, failure_, queue_, compute_;
  std::atomic<std::uint64_t> inferences_{0}, inline_runs_{0}, last_millis_{0};
};

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

// At most `limit` holders at a time; others wait in order, up to `waiting_max`. limit 0 is no bound. Any thread.
class Gate {
 public:
  using Work = std::move_only_function<void()>;
  Gate(std::size_t limit, std::size_t waiting_max) : limit_(limit), waiting_max_(waiting_max) {}

  // True when a place was free and nobody waits; it is now the caller's.
  bool try_enter();
  // Keeps `work` until a place is handed to it by leave(). False when too many wait; `work` is then untouched. When a
  // place became free meanwhile it is taken, `entered` is set, and `work` is untouched too.
  bool wait(Work& work, bool& entered);
  // Gives the place back, or hands it to the next in line, which is returned and must be run.
  std::optional<Work> leave();

 private:
  const std::size_t limit_;
  const std::size_t waiting_max_;
  std::mutex mutex_;
  std::size_t inside_ = 0;
  std::deque<Work> waiting_;
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
        gate(config->instances.max, config->queue.max) {}

  const std::shared_ptr<const ModelConfig> config;
  const std::string name;
  const std::int64_t number;
  const std::string version;
  const std::shared_ptr<const Model> model;
  std::uint64_t memory_bytes;              // measured while it was loaded, before anybody sees it; about
  std::atomic<std::int64_t> last_used{0};  // base::WallMicros
  Stats stats;
  RunCost cost;
  Gate gate;
};

}  // namespace penstock::infer
