#include "rt/pool.h"

#include <pthread.h>

#include <system_error>

namespace penstock::rt {

Pool::Pool(std::string name, std::size_t threads, std::size_t queue_max)
    : name_(std::move(name)),
      threads_max_(std::max<std::size_t>(threads, 1)),
      queue_max_(std::max<std::size_t>(queue_max, 1)) {
  threads_.reserve(threads_max_);
}

// As many as the system gives. With mutex_ held.
void Pool::start_threads() {
  try {
    while (threads_.size() < threads_max_) {
      threads_.emplace_back([this] { serve(); });
      pthread_setname_np(threads_.back().native_handle(), name_.substr(0, 15).c_str());
    }
  } catch (const std::system_error&) {
    // One will do; without any, submit() tries again.
  }
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Result<void> Pool::submit(Work&& work) {
  {
    std::lock_guard lock(mutex_);
    if (threads_.empty()) start_threads();
    if (threads_.empty()) {
      return fail(
          Errc::unavailable,
          fmt::format("the system gives no thread for {}: raise the limit of tasks (ulimit -u, TasksMax)", name_));
    }
    if (stopping_) return fail(Errc::unavailable, fmt::format("the {} threads are shutting down", name_));
    if (queue_.size() >= queue_max_) {
      return fail(Errc::backpressure, fmt::format("the {} queue is full ({} waiting); try again", name_, queue_max_));
    }
    queue_.push_back(std::move(work));
  }
  ready_.notify_one();
  return {};
}

std::size_t Pool::threads() const {
  std::lock_guard lock(mutex_);
  return threads_.size();
}

std::size_t Pool::queued() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void Pool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Work work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;  // what it held ends here, not under the lock
    lock.lock();
  }
}

}  // namespace penstock::rt
