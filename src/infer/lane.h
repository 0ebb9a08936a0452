// The queue of one version: who is next, who shares a run, and when a run may start. Holds no lock and reads no clock:
// the Scheduler guards it and tells the time.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "infer/batch_config.h"

namespace penstock::infer {

struct Task;

// The order in which what waits is served.
struct Turn {
  enum class Rank : std::uint8_t {
    normal,
    delayed,  // waited longer than the queue's timeout
    shadow,   // nobody waits for it
  };
  Rank rank = Rank::normal;
  base::SteadyTime due{};  // arrival, and kPatience for every level of priority below the first
  std::uint64_t number = 0;
  auto operator<=>(const Turn&) const = default;
};

class Lane {
 public:
  // What a level of priority is worth: so much longer the lower one has to wait before it goes first. Nothing is
  // starved.
  static constexpr base::Duration kPatience = std::chrono::seconds(1);

  Lane(const BatchConfig& batch, const InstanceConfig& instances);

  // By task->signature, task->turn, task->hold.
  void push(std::shared_ptr<Task> task);
  // A task that is in here.
  std::shared_ptr<Task> remove(const Task& task);
  // From now on it is behind all others.
  void delay(Task& task);

  bool empty() const { return waiting_ == 0; }
  std::size_t waiting() const { return waiting_; }
  // When a run may start: long ago, when there is enough for one; SteadyTime::max() when nothing waits.
  base::SteadyTime ready_at() const;
  // Who would lead a run that starts at `now`; ready_at() is not after `now`.
  const Turn& first(base::SteadyTime now) const;
  // The tasks of that run, in their order.
  std::vector<std::shared_ptr<Task>> take(base::SteadyTime now);

  // Runs at the same time; 0 is no bound. More while more waits than they can take in their next runs, fewer again
  // after a run that left nothing.
  std::size_t instances() const { return instances_; }
  void shrink();

  // Stride scheduling: compute time used, divided by the model's weight. The Scheduler's.
  double pass = 0;
  double expected_run = 0;  // nanoseconds, averaged

 private:
  // Tasks that can share a run.
  struct Group {
    std::map<Turn, std::shared_ptr<Task>> tasks;
    std::size_t rows = 0;
    base::SteadyTime hold = base::SteadyTime::max();  // the earliest of its tasks: company is waited for until then
  };
  using Groups = std::map<std::string, Group>;
  base::SteadyTime ready_at(const Groups::value_type& named) const;
  std::size_t rows_to_take(const Groups::value_type& named, base::SteadyTime now) const;
  std::size_t preferred_within(std::size_t rows) const;
  Groups::const_iterator best(base::SteadyTime now) const;
  void grow();

  const BatchConfig batch_;
  const InstanceConfig limits_;
  std::size_t instances_;
  std::size_t waiting_ = 0;
  Groups groups_;  // by signature; what runs alone is under the empty one
};

}  // namespace penstock::infer
