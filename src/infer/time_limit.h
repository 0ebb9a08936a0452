// A stop token that is asked to stop when a time is up.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/clock.h"

namespace penstock::infer {

// Costs a thread for as long as it lives. Any thread.
class TimeLimit {
 public:
  explicit TimeLimit(base::Duration limit)
      : thread_([this, limit](const std::stop_token& ended) {
          std::unique_lock lock(mutex_);
          changed_.wait_for(lock, ended, limit, [] { return false; });
          if (!ended.stop_requested()) source_.request_stop();
        }) {}

  std::stop_token token() const { return source_.get_token(); }
  bool is_up() const { return source_.stop_requested(); }

 private:
  std::stop_source source_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;  // last: it uses what stands before it
};

}  // namespace penstock::infer
