#include "infer/scheduler.h"

#include <pthread.h>

#include <system_error>

#include "infer/execution.h"

namespace penstock::infer {
namespace {

base::SteadyTime now() { return base::system_clock().steady(); }

bool unwanted(const Task& task) { return task.job.request.stop.stop_requested(); }

}  // namespace

Scheduler::Scheduler(Options options, Settle settle)
    : settle_(std::move(settle)), saver_(options.saver), options_(options) {
  options_.threads = std::max<std::size_t>(options_.threads, 1);
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  parked_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Scheduler::change(Options options) {
  options.threads = std::max<std::size_t>(options.threads, 1);
  {
    std::lock_guard lock(mutex_);
    if (options == options_) return;
    options_ = options;
    saver_.store(options.saver);
    if (!threads_.empty()) start_threads();
  }
  ready_.notify_all();
  parked_.notify_all();
}

base::Duration Scheduler::wait_of(const Served& served) const {
  return served.config->batch.wait * (saver_.load(std::memory_order_relaxed) ? kSaverPatience : 1);
}

// As many as the system gives.
bool Scheduler::start_threads() {
  try {
    while (threads_.size() < threads()) {
      threads_.emplace_back([this, index = threads_.size()] { serve(index); });
      pthread_setname_np(threads_.back().native_handle(), "inference");
    }
  } catch (const std::system_error&) {
    // One will do; without any, the next one tries again.
  }
  return !threads_.empty();
}

Result<void> Scheduler::admit(const Task& task) const {
  const Served& served = task.job.served();
  if (task.turn.rank == Turn::Rank::shadow && waiting_ + running_ >= threads()) {
    return fail(Errc::backpressure, "the inference threads have no time for a shadow");
  }
  if (served.lane.waiting() >= served.config->queue.max) {
    return fail(Errc::backpressure, fmt::format("model '{}' is overloaded: {} requests wait for it; try again",
                                                served.name, served.lane.waiting()));
  }
  if (waiting_ >= options_.queue_max) {
    return fail(Errc::backpressure, fmt::format("the inference queue is full ({} waiting); try again", waiting_));
  }
  return {};
}

Result<void> Scheduler::submit(TaskPtr task) {
  const std::shared_ptr<Served> served = task->job.pick.served;
  Lane& lane = served->lane;
  std::lock_guard lock(mutex_);
  if (auto admitted = admit(*task); !admitted) return admitted;
  if (!start_threads()) {
    return fail(Errc::unavailable,
                "the system gives no thread for inference: raise the limit of tasks (ulimit -u, TasksMax)");
  }
  if (lane.empty()) {
    active_.push_back(served);
    lane.pass = std::max(lane.pass, time_);  // it cannot save up for later what it did not use
  }
  task->turn.number = ++numbers_;
  task->state.store(Task::State::waiting);
  served->stats.entered();
  ++waiting_;
  lane.push(std::move(task));
  if (idle_ > 0 && lane.ready_at() < wake_at_) ready_.notify_one();
  return {};
}

// `tasks` of the version do not wait any more.
void Scheduler::left(Served& served, std::size_t tasks) {
  waiting_ -= tasks;
  served.stats.left(tasks);
  if (!served.lane.empty()) return;
  auto place = std::find_if(active_.begin(), active_.end(), [&](const auto& one) { return one.get() == &served; });
  std::swap(*place, active_.back());
  active_.pop_back();
}

TaskPtr Scheduler::withdraw(Task& task) {
  std::lock_guard lock(mutex_);
  if (task.state.load() != Task::State::waiting) return nullptr;
  TaskPtr taken = task.job.served().lane.remove(task);
  task.state.store(Task::State::over);
  left(task.job.served(), 1);
  return taken;
}

void Scheduler::delay(Task& task) {
  std::lock_guard lock(mutex_);
  if (task.state.load() == Task::State::waiting) task.job.served().lane.delay(task);
}

TaskPtr Scheduler::abandon(Task& task) {
  if (task.state.load() == Task::State::over) return nullptr;
  if (TaskPtr waited = withdraw(task)) return waited;
  std::shared_ptr<Run> unwanted_run;
  {
    std::lock_guard lock(mutex_);
    if (task.state.load() == Task::State::running && task.run && --task.run->wanted == 0) unwanted_run = task.run;
  }
  if (unwanted_run) unwanted_run->stop.request_stop();
  return nullptr;
}

void Scheduler::freed(const Served& served) {
  if (served.stats.pending() == 0) return;
  std::lock_guard lock(mutex_);
  if (idle_ > 0) ready_.notify_one();
}

// The version that goes next, with a place in it. `wake`: when to look again, without.
std::shared_ptr<Served> Scheduler::pick(base::SteadyTime at, base::SteadyTime& wake) {
  const std::shared_ptr<Served>* best = nullptr;
  std::pair<bool, double> least;
  for (const std::shared_ptr<Served>& served : active_) {
    Lane& lane = served->lane;
    if (!served->places.free(lane.instances())) continue;
    base::SteadyTime ready = lane.ready_at();
    if (ready > at) {
      wake = std::min(wake, ready);
      continue;
    }
    std::pair<bool, double> place{lane.first(at).rank == Turn::Rank::shadow, lane.pass};
    if (best != nullptr && least <= place) continue;
    best = &served;
    least = place;
  }
  if (best == nullptr) return nullptr;
  // A loop may have been faster; it says so when it leaves.
  if (!(*best)->places.try_enter((*best)->lane.instances())) return nullptr;
  time_ = std::max(time_, (*best)->lane.pass);
  return *best;
}

void Scheduler::wait(std::unique_lock<std::mutex>& lock, base::SteadyTime wake) {
  ++idle_;
  if (wake < wake_at_) {
    wake_at_ = wake;
    ready_.wait_until(lock, wake);
    if (wake_at_ == wake) wake_at_ = base::SteadyTime::max();
  } else {
    ready_.wait(lock);
  }
  --idle_;
}

void Scheduler::serve(std::size_t index) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (index >= threads() && !stopping_) {
      parked_.wait(lock);
      continue;
    }
    base::SteadyTime wake = base::SteadyTime::max();
    // At the end nobody is waited for.
    base::SteadyTime at = stopping_ ? base::SteadyTime::max() : now();
    if (std::shared_ptr<Served> served = pick(at, wake)) {
      run(served, at, lock);
    } else if (stopping_ && waiting_ == 0) {
      return;
    } else {
      wait(lock, wake);
    }
  }
}

void Scheduler::charge(Served& served, double nanos) { served.lane.pass += nanos / served.config->weight; }

// Parts what nobody waits for from what is to run.
std::shared_ptr<Run> Scheduler::begin(Tasks& tasks, Tasks& dropped, base::SteadyTime at) {
  Tasks kept;
  for (TaskPtr& task : tasks) {
    bool late = at != base::SteadyTime::max() && task->expires.load() <= at;
    (late || unwanted(*task) ? dropped : kept).push_back(std::move(task));
  }
  tasks = std::move(kept);
  for (const TaskPtr& task : dropped) task->state.store(Task::State::over);
  std::shared_ptr<Run> shared;
  if (tasks.size() > 1) shared = std::make_shared<Run>(Run{.stop = {}, .wanted = tasks.size()});
  for (const TaskPtr& task : tasks) {
    task->run = shared;
    task->state.store(Task::State::running);
  }
  return shared;
}

// Has a place of the version, and gives it back before anybody hears of the results: who asks again finds it free.
void Scheduler::run(const std::shared_ptr<Served>& served, base::SteadyTime at, std::unique_lock<std::mutex>& lock) {
  Lane& lane = served->lane;
  Tasks tasks = lane.take(at);
  left(*served, tasks.size());
  Tasks dropped;
  std::shared_ptr<Run> shared = begin(tasks, dropped, at);
  double expected = tasks.empty() ? 0 : lane.expected_run;
  charge(*served, expected);
  base::Duration inline_max = options_.inline_max;
  ++running_;
  if (!active_.empty() && idle_ > 0) ready_.notify_one();
  lock.unlock();

  served->stats.began();
  for (const TaskPtr& task : dropped)
    task->result = std::unexpected(unwanted(*task) ? cancelled(task->job) : too_late(task->job));
  base::SteadyTime start = now();
  execute(tasks, shared ? shared->stop.get_token() : std::stop_token(), inline_max);
  served->stats.ended();
  auto used = static_cast<double>((now() - start).count());
  tasks.insert(tasks.end(), std::make_move_iterator(dropped.begin()), std::make_move_iterator(dropped.end()));

  lock.lock();
  --running_;
  for (const TaskPtr& task : tasks) task->state.store(Task::State::over);
  served->places.leave();
  charge(*served, used - expected);
  lane.expected_run += (used - lane.expected_run) / 8;
  lane.shrink();
  if (!lane.empty() && idle_ > 0) ready_.notify_one();
  lock.unlock();
  settle_(std::move(tasks));
  lock.lock();
}

}  // namespace penstock::infer
