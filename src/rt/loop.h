// One event loop: one thread, one epoll instance, its timers and its posted work. A connection lives and dies on one
// loop, so code on a loop needs no lock. Everything here is called on the loop's own thread unless it says "any
// thread".
//
// Linux epoll in edge-triggered mode: a descriptor is registered once and never again, so that a request costs no
// epoll_ctl. See docs/adr/0002.
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "rt/send_ring.h"

namespace penstock::rt {

class Loop;

// A one-shot timer, embedded in its owner: arming and cancelling allocate nothing. Destroying it cancels it.
// Resolution is 1 ms; it never fires early.
class Timer {
 public:
  explicit Timer(Loop& loop) : loop_(loop) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Arming an armed timer moves it.
  void arm_at(base::SteadyTime when, std::function<void()> fire);
  void arm_in(base::Duration delay, std::function<void()> fire);
  // Moves an armed timer forward to `when` if it would fire later; what it runs stays.
  void arm_no_later(base::SteadyTime when);
  void cancel();
  bool armed() const { return heap_index_ != kIdle; }

 private:
  friend class Loop;
  static constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
  Loop& loop_;
  base::SteadyTime when_{};
  std::function<void()> fire_;
  std::size_t heap_index_ = kIdle;
};

// What a registered descriptor hears. Edge-triggered: `readable` and `writable` are announced once per change, so the
// listener must read or write until EAGAIN (or remember that it stopped early).
class Listener {
 public:
  virtual ~Listener() = default;
  // `hang_up`: the peer closed its sending side or the connection; it is sticky and also means readable.
  virtual void on_ready(bool readable, bool writable, bool hang_up) = 0;
};

// Runs once at the end of a turn, behind everything that was resumed in it: what the turn gathered goes out together.
class TurnEnd {
 public:
  virtual ~TurnEnd() = default;
  virtual void on_turn_end() = 0;
};

class Loop {
 public:
  explicit Loop(int index = 0);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(). Work posted before run() runs first.
  void run();
  // Any thread. run() returns after the events at hand; called before run(), it ends that one. The loop may run again.
  void stop();

  // Any thread. Runs `work` on the loop, in order of posting; unbounded, so callers that carry data bound themselves.
  void post(std::function<void()> work);
  // Resumes `handle` after the current event, before waiting again.
  void defer(std::coroutine_handle<> handle) { deferred_.push_back(handle); }

  // Registers for readable, writable and hang-up. `listener` must stay until remove(). 0 or errno.
  int add(int fd, Listener* listener);
  // After this no event reaches `listener`, not even one already fetched.
  void remove(int fd, Listener* listener);

  // Tells `who` at the end of this turn. forget_turn_end() takes that back; harmless for one that is not waiting.
  void at_turn_end(TurnEnd* who) { turn_ends_.push_back(who); }
  void forget_turn_end(TurnEnd* who);

  // From now on sends may be put off to the end of the turn, where the platform allows it. Before run().
  void batch_sends() { ring_ = SendRing::create(); }
  bool batches_sends() const { return ring_ != nullptr; }
  // Sends it at the end of this turn together with the others, then tells it. remove_send() forgets it; harmless for
  // one that is not waiting.
  void add_send(Send* send) { sends_.push_back(send); }
  void remove_send(Send* send);

  // The time at the last wake-up: cheap, at most one burst of events old.
  base::SteadyTime now() const { return now_; }
  // How long what is being worked on may have waited for this loop: the time since it last took everything that was
  // there, less the time it slept. The sign of a core that has more to do than it can; costs no clock call.
  base::Duration lag() const { return lag_; }
  // The least lag of any turn since the last call: above zero for long means that the core never caught up.
  base::Duration take_least_lag() { return std::exchange(least_lag_, lag_); }
  int index() const { return index_; }
  bool on_this_thread() const { return current() == this; }
  // The loop this thread is running, or null.
  static Loop* current();

 private:
  friend class Timer;
  void run_posted();
  void run_deferred();
  void run_turn_ends();
  void run_sends();
  void run_timers();
  int wait_millis();
  void note_wait(bool slept, bool took_all);
  void heap_insert(Timer* timer);
  void heap_remove(Timer* timer);
  void sift_up(std::size_t index);
  void sift_down(std::size_t index);

  int index_;
  int epoll_fd_;
  int wake_fd_;
  base::SteadyTime now_;
  base::SteadyTime before_wait_;  // equal to now_ when no clock was read since
  base::SteadyTime emptied_at_;   // when the descriptors were last seen with nothing left to take
  base::Duration lag_{};
  base::Duration least_lag_{};
  std::vector<Timer*> heap_;
  std::vector<std::coroutine_handle<>> deferred_;
  std::vector<std::coroutine_handle<>> resuming_;
  std::vector<TurnEnd*> turn_ends_;
  std::vector<TurnEnd*> ending_;
  std::unique_ptr<SendRing> ring_;
  std::vector<Send*> sends_;
  std::vector<Send*> sending_;
  std::vector<Listener*> batch_;  // the events being delivered; remove() blanks entries
  std::mutex mutex_;              // guards posted_ and wake_pending_
  std::vector<std::function<void()>> posted_;
  bool wake_pending_ = false;
  std::atomic<bool> stopping_{false};
};

}  // namespace penstock::rt
