// Waits that can be ended: by a deadline, or by a cancellation from elsewhere on the loop.
#pragma once

#include <coroutine>
#include <optional>

#include "rt/loop.h"

namespace penstock::rt {

class CancelHook;

// One switch for whatever a task is waiting for. After cancel() the current wait ends and later ones end at once.
// Same loop only; it outlives every wait that looks at it.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;
  void cancel();
  bool cancelled() const { return cancelled_; }

 private:
  friend class CancelHook;
  CancelHook* innermost_ = nullptr;
  bool cancelled_ = false;
};

// Hears of a cancellation while it lives. Hooks of one cancellation end in the reverse order of their beginning.
class CancelHook {
 public:
  // Null hears of none.
  explicit CancelHook(Cancellation* cancellation) : cancellation_(cancellation) {
    if (cancellation_ != nullptr) outer_ = std::exchange(cancellation_->innermost_, this);
  }
  CancelHook(const CancelHook&) = delete;
  CancelHook& operator=(const CancelHook&) = delete;

 protected:
  virtual ~CancelHook() {
    if (cancellation_ != nullptr) cancellation_->innermost_ = outer_;
  }
  bool cancelled() const { return cancellation_ != nullptr && cancellation_->cancelled(); }

 private:
  friend class Cancellation;
  // Must not destroy a hook; resuming a coroutine is left to the loop.
  virtual void on_cancel() = 0;
  Cancellation* cancellation_;
  CancelHook* outer_ = nullptr;
};

inline void Cancellation::cancel() {
  if (std::exchange(cancelled_, true)) return;
  for (CancelHook* hook = innermost_; hook != nullptr; hook = hook->outer_) hook->on_cancel();
}

// co_await a Wait: until set(), its deadline, or the cancellation, whichever is first. For one waiter and one use.
class Wait : private CancelHook {
 public:
  enum class End { set, deadline, cancelled };

  // SteadyTime::max() is no deadline.
  Wait(Loop& loop, base::SteadyTime deadline, Cancellation* cancellation = nullptr)
      : CancelHook(cancellation), loop_(loop), deadline_(deadline), timer_(loop) {}
  void set() { end(End::set); }

  bool await_ready() {
    if (!end_ && cancelled()) end_ = End::cancelled;
    if (!end_ && deadline_ <= loop_.now()) end_ = End::deadline;
    return end_.has_value();
  }
  void await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    if (deadline_ != base::SteadyTime::max()) timer_.arm_at(deadline_, [this] { end(End::deadline); });
  }
  End await_resume() const { return *end_; }

 private:
  void on_cancel() override { end(End::cancelled); }
  void end(End how) {
    if (end_) return;
    end_ = how;
    timer_.cancel();
    if (handle_) loop_.defer(std::exchange(handle_, {}));
  }

  Loop& loop_;
  base::SteadyTime deadline_;
  Timer timer_;
  std::optional<End> end_;
  std::coroutine_handle<> handle_;
};

}  // namespace penstock::rt
