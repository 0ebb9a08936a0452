// A thread that carries one batch after the other, for sinks whose peer is spoken to by calls that block: a database, a
// disk.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "ingest/contracts.h"

namespace penstock::ingest {

class BatchThread {
 public:
  using Carry = std::function<Sent(const std::vector<Sample>&)>;

  // `name` is the thread's (15 bytes are shown). `carry` runs on it.
  BatchThread(std::string name, Carry carry);
  ~BatchThread();

  // On the loop. unavailable when the system gives no thread.
  Result<void> start(rt::Loop& loop);
  // On the loop, one at a time; `done` later, on the loop.
  void send(Batch batch, std::function<void(Sent)> done);
  // On the loop. Answers nothing any more and waits for the thread: `interrupt` makes a `carry` under way return.
  void stop(const std::function<void()>& interrupt = {});

 private:
  struct Work {
    Batch batch;
    std::function<void(Sent)> done;
  };
  void run(const std::weak_ptr<bool>& alive);

  const std::string name_;
  const Carry carry_;
  rt::Loop* loop_ = nullptr;
  std::thread thread_;
  std::shared_ptr<bool> alive_;  // of the loop: gone after stop()
  std::mutex mutex_;             // guards the two below
  std::condition_variable ready_;
  std::optional<Work> work_;
  bool stopping_ = false;
};

}  // namespace penstock::ingest
