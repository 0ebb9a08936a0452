// A few threads for work that blocks or runs long, behind one bounded queue. When the queue is full the work is refused
// with Errc::backpressure: the caller turns that into its own answer, nothing waits unseen.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "rt/loop.h"

namespace penstock::rt {

// Any thread may call any member.
class Pool {
 public:
  using Work = std::move_only_function<void()>;

  // `name` is the threads' name (15 bytes are shown) and stands in refusals. threads >= 1, queue_max >= 1. Where the
  // system gives fewer threads there are fewer.
  Pool(std::string name, std::size_t threads, std::size_t queue_max);
  // Runs what is queued, then ends the threads.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Runs `work` on one of the threads, first come first served. unavailable while the system gives not even one. `work`
  // must not throw. On refusal `work` is untouched, so that the caller can still use what it holds.
  Result<void> submit(Work&& work);

  // Runs `work` on the pool and hands what it returns to `done` on `loop`, which must outlive the work. On refusal
  // neither is called.
  template <class F, class Done>
  Result<void> run(Loop& loop, F work, Done done) {
    return submit([&loop, work = std::move(work), done = std::move(done)]() mutable {
      auto finished = std::make_shared<std::pair<Done, decltype(work())>>(std::move(done), work());
      loop.post([finished] { finished->first(std::move(finished->second)); });
    });
  }

  // Those that run: none before the first work.
  std::size_t threads() const;
  std::size_t queued() const;

 private:
  void serve();
  void start_threads();

  const std::string name_;
  const std::size_t threads_max_;
  const std::size_t queue_max_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable ready_;
  std::deque<Work> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace penstock::rt
