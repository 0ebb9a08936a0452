// The inference threads and what they do next: stride scheduling between versions, so that each gets compute time by
// the weight of its model, whatever its runs take; within a version as its Lane says.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "infer/task.h"

namespace penstock::infer {

// Every member may be called from any thread. Nothing runs and nothing is destroyed under the lock: a push holds it for
// about a microsecond.
class Scheduler {
 public:
  struct Options {
    std::size_t threads = 2;
    std::size_t queue_max = 1024;  // requests waiting, of all versions
    bool saver = false;            // one thread, and batches wait kSaverPatience times as long
    base::Duration inline_max{};   // for the measured cost of runs
    bool operator==(const Options&) const = default;
  };
  // Hears of tasks that are over, with their results; on an inference thread.
  using Settle = std::function<void(std::vector<TaskPtr>)>;
  static constexpr int kSaverPatience = 4;

  Scheduler(Options options, Settle settle);
  // Runs what waits, then ends the threads.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  void change(Options options);
  // How long a batch waits for company.
  base::Duration wait_of(const Served& served) const;

  // backpressure when the version's queue or all together are full, and for a shadow when anything else has to be done;
  // unavailable while the system gives no thread. The task is untouched then.
  Result<void> submit(TaskPtr task);
  // Takes it out of its queue. Null when it does not wait any more.
  TaskPtr withdraw(Task& task);
  // Its queue's timeout has passed: it goes behind all others.
  void delay(Task& task);
  // Nobody waits for it any more. Returned where it was in the queue; a run that nobody else waits for is stopped.
  TaskPtr abandon(Task& task);
  // A place was given back outside of the threads.
  void freed(const Served& served);

 private:
  using Tasks = std::vector<TaskPtr>;
  void serve(std::size_t index);
  bool start_threads();
  std::shared_ptr<Served> pick(base::SteadyTime now, base::SteadyTime& wake);
  void wait(std::unique_lock<std::mutex>& lock, base::SteadyTime wake);
  void run(const std::shared_ptr<Served>& served, base::SteadyTime now, std::unique_lock<std::mutex>& lock);
  std::shared_ptr<Run> begin(Tasks& tasks, Tasks& dropped, base::SteadyTime now);
  void charge(Served& served, double nanos);
  void left(Served& served, std::size_t tasks);
  Result<void> admit(const Task& task) const;
  std::size_t threads() const { return options_.saver ? 1 : options_.threads; }

  const Settle settle_;
  std::atomic<bool> saver_;
  mutable std::mutex mutex_;  // guards what follows, and the lanes of all versions
  Options options_;
  std::condition_variable ready_;
  std::condition_variable parked_;               // threads above the number wanted
  std::vector<std::shared_ptr<Served>> active_;  // those for which something waits
  std::size_t waiting_ = 0;
  std::size_t running_ = 0;
  std::size_t idle_ = 0;
  base::SteadyTime wake_at_ = base::SteadyTime::max();  // when the first idle thread looks again by itself
  double time_ = 0;                                     // of the stride: the pass of the version that was picked last
  std::uint64_t numbers_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace penstock::infer
