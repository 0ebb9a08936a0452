// Small awaitables: an event, a sleep, a group of tasks, and a hop between loops.
#pragma once

#include <coroutine>

#include "base/result.h"
#include "rt/loop.h"
#include "rt/task.h"

namespace penstock::rt {

// Wakes one waiter. A set() before the wait is remembered; the wait consumes it. Same loop only.
class Event {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}

  void set() {
    set_ = true;
    if (waiter_) loop_.defer(std::exchange(waiter_, {}));
  }

  bool await_ready() const noexcept { return set_; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiter_ = handle; }
  void await_resume() noexcept { set_ = false; }

 private:
  Loop& loop_;
  bool set_ = false;
  std::coroutine_handle<> waiter_;
};

// Lets everybody else on the loop have a turn: co_await Yield(loop)
class Yield {
 public:
  explicit Yield(Loop& loop) : loop_(loop) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) { loop_.defer(handle); }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
};

// co_await Sleep(loop, 5ms)
class Sleep {
 public:
  Sleep(Loop& loop, base::Duration delay) : loop_(loop), timer_(loop), delay_(delay) {}
  bool await_ready() const noexcept { return delay_ <= base::Duration::zero(); }
  void await_suspend(std::coroutine_handle<> handle) {
    timer_.arm_in(delay_, [this, handle] { loop_.defer(handle); });
  }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
  Timer timer_;
  base::Duration delay_;
};

// Waits for a callback-style operation that ends exactly once on the same loop:
//   auto result = co_await Callback<Result<int>>(loop, [&](auto done) { thing.start(std::move(done)); });
template <class T>
class Callback {
 public:
  using Done = std::function<void(T)>;
  Callback(Loop& loop, std::function<void(Done)> start) : loop_(loop), start_(std::move(start)) {}
  bool await_ready() {
    start_([this](T value) {
      value_.emplace(std::move(value));
      if (waiter_) loop_.defer(waiter_);
    });
    return value_.has_value();
  }
  void await_suspend(std::coroutine_handle<> handle) { waiter_ = handle; }
  T await_resume() { return std::move(*value_); }

 private:
  Loop& loop_;
  std::function<void(Done)> start_;
  std::optional<T> value_;
  std::coroutine_handle<> waiter_;
};

// Every detached task belongs to a scope, so that nothing outlives its owner: the owner waits for idle() before it
// goes away. Same loop only.
class TaskScope {
 public:
  explicit TaskScope(Loop& loop) : idle_(loop) {}
  void spawn(Task<void> task) {
    ++running_;
    rt::spawn(std::move(task), [this] {
      if (--running_ == 0) idle_.set();
    });
  }
  std::size_t running() const { return running_; }
  Task<void> idle() {
    while (running_ > 0) co_await idle_;
  }

 private:
  std::size_t running_ = 0;
  Event idle_;
};

}  // namespace penstock::rt
