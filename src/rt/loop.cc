#include "rt/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <system_error>

namespace penstock::rt {
namespace {

thread_local Loop* current_loop = nullptr;

// 256: one system call fetches a burst from every busy connection of a loaded core.
constexpr int kEventsPerWait = 256;
// 32: most of what a larger batch saves, and half a millisecond at most to wait for its end.
constexpr std::size_t kSendsPerCall = 32;

}  // namespace

void Timer::arm_at(base::SteadyTime when, std::function<void()> fire) {
  cancel();
  when_ = when;
  fire_ = std::move(fire);
  loop_.heap_insert(this);
}

void Timer::arm_in(base::Duration delay, std::function<void()> fire) {
  arm_at(std::chrono::steady_clock::now() + delay, std::move(fire));
}

void Timer::arm_no_later(base::SteadyTime when) {
  if (heap_index_ == kIdle || when_ <= when) return;
  when_ = when;
  loop_.sift_up(heap_index_);
}

void Timer::cancel() {
  if (heap_index_ != kIdle) loop_.heap_remove(this);
}

Loop::Loop(int index)
    : index_(index),
      epoll_fd_(epoll_create1(EPOLL_CLOEXEC)),
      wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      now_(std::chrono::steady_clock::now()),
      before_wait_(now_),
      emptied_at_(now_) {
  if (epoll_fd_ < 0 || wake_fd_ < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot create an event loop");
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
}

Loop::~Loop() {
  close(wake_fd_);
  close(epoll_fd_);
}

Loop* Loop::current() { return current_loop; }

void Loop::run() {
  current_loop = this;
  std::array<epoll_event, kEventsPerWait> events;
  while (!stopping_.load(std::memory_order_acquire)) {
    run_posted();
    run_deferred();
    run_turn_ends();
    run_sends();
    int patience = wait_millis();
    int count = epoll_wait(epoll_fd_, events.data(), kEventsPerWait, patience);
    now_ = std::chrono::steady_clock::now();
    note_wait(patience != 0, count < kEventsPerWait);
    batch_.clear();
    for (int i = 0; i < count; ++i)
      batch_.push_back(static_cast<Listener*>(events[static_cast<std::size_t>(i)].data.ptr));
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      Listener* listener = batch_[i];
      if (listener == nullptr) continue;  // the wake-up, or removed while this batch was delivered
      std::uint32_t mask = events[i].events;
      bool hang_up = (mask & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
      listener->on_ready((mask & EPOLLIN) != 0 || hang_up, (mask & EPOLLOUT) != 0 || hang_up, hang_up);
    }
    batch_.clear();
    run_timers();
    run_deferred();
    run_turn_ends();
    run_sends();
  }
  current_loop = nullptr;
  stopping_.store(false, std::memory_order_release);
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_release);
  post([] {});
}

void Loop::post(std::function<void()> work) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
    wake = !std::exchange(wake_pending_, true);
  }
  if (wake) {
    std::uint64_t one = 1;
    // Cannot fail but for a full counter, which is a pending wake-up too.
    [[maybe_unused]] auto written = write(wake_fd_, &one, sizeof one);
  }
}

int Loop::add(int fd, Listener* listener) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = listener;
  return epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void Loop::remove(int fd, Listener* listener) {
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  std::replace(batch_.begin(), batch_.end(), listener, static_cast<Listener*>(nullptr));
}

void Loop::run_posted() {
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    if (posted_.empty()) return;
    work.swap(posted_);
    wake_pending_ = false;
    // The counter is edge-triggered and only ever grows towards 2^64: reading it would be a call for nothing.
  }
  for (auto& item : work) item();
}

void Loop::run_deferred() {
  // What these defer in turn waits for the next round, after a look at the descriptors: nobody keeps a loop to himself.
  resuming_.swap(deferred_);
  for (auto handle : resuming_) {
    handle.resume();
    // What the first of a long burst said must not wait for the last.
    if (sends_.size() >= kSendsPerCall) run_sends();
  }
  resuming_.clear();
}

void Loop::run_turn_ends() {
  if (turn_ends_.empty()) return;
  ending_.swap(turn_ends_);
  // One may end another one's owner: forget_turn_end() blanks its entry.
  for (std::size_t i = 0; i < ending_.size(); ++i) {
    if (ending_[i] != nullptr) ending_[i]->on_turn_end();
  }
  ending_.clear();
}

void Loop::forget_turn_end(TurnEnd* who) {
  std::erase(turn_ends_, who);
  std::replace(ending_.begin(), ending_.end(), who, static_cast<TurnEnd*>(nullptr));
}

void Loop::run_sends() {
  if (sends_.empty()) return;
  sending_.swap(sends_);
  if (!ring_->send_all(sending_)) ring_.reset();
  // What a send hears may end another one's owner: remove_send() blanks its entry.
  for (std::size_t i = 0; i < sending_.size(); ++i) {
    if (sending_[i] != nullptr) sending_[i]->sent(sending_[i]->result_);
  }
  sending_.clear();
}

void Loop::remove_send(Send* send) {
  std::erase(sends_, send);
  std::replace(sending_.begin(), sending_.end(), send, static_cast<Send*>(nullptr));
}

// Whoever came in by this wait came after the one before it, if that one took all there was.
void Loop::note_wait(bool slept, bool took_all) {
  // Shorter than this and the call found something at once.
  constexpr auto kSleep = std::chrono::microseconds(50);
  bool idle = slept && now_ - before_wait_ > kSleep;
  lag_ = idle ? base::Duration::zero() : now_ - emptied_at_;
  least_lag_ = std::min(least_lag_, lag_);
  if (took_all) emptied_at_ = now_;
}

int Loop::wait_millis() {
  if (!deferred_.empty() || !sends_.empty() || !turn_ends_.empty()) return 0;
  before_wait_ = std::chrono::steady_clock::now();
  if (heap_.empty()) return -1;
  auto left = heap_.front()->when_ - before_wait_;
  if (left <= base::Duration::zero()) return 0;
  auto millis = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(millis, 60'000));
}

void Loop::run_timers() {
  while (!heap_.empty() && heap_.front()->when_ <= now_) {
    Timer* timer = heap_.front();
    heap_remove(timer);
    // Moved out first: the callback may re-arm or destroy the timer.
    auto fire = std::move(timer->fire_);
    fire();
  }
}

void Loop::heap_insert(Timer* timer) {
  timer->heap_index_ = heap_.size();
  heap_.push_back(timer);
  sift_up(timer->heap_index_);
}

void Loop::heap_remove(Timer* timer) {
  std::size_t index = timer->heap_index_;
  timer->heap_index_ = Timer::kIdle;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  heap_[index] = last;
  last->heap_index_ = index;
  sift_up(index);
  sift_down(last->heap_index_);
}

void Loop::sift_up(std::size_t index) {
  Timer* timer = heap_[index];
  while (index > 0) {
    std::size_t parent = (index - 1) / 2;
    if (heap_[parent]->when_ <= timer->when_) break;
    heap_[index] = heap_[parent];
    heap_[index]->heap_index_ = index;
    index = parent;
  }
  heap_[index] = timer;
  timer->heap_index_ = index;
}

void Loop::sift_down(std::size_t index) {
  Timer* timer = heap_[index];
  while (true) {
    std::size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_) ++child;
    if (timer->when_ <= heap_[child]->when_) break;
    heap_[index] = heap_[child];
    heap_[index]->heap_index_ = index;
    index = child;
  }
  heap_[index] = timer;
  timer->heap_index_ = index;
}

}  // namespace penstock::rt
