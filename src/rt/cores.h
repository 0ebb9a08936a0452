// The event loops of the data plane, one thread each.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "rt/loop.h"

namespace penstock::rt {

// A loop with its own thread. The thread starts at start() and ends at stop(), which joins it.
class LoopThread {
 public:
  explicit LoopThread(int index, std::string thread_name) : loop_(index), name_(std::move(thread_name)) {}
  ~LoopThread() { stop(); }
  void start();
  void stop();
  bool running() const { return thread_.joinable(); }
  Loop& loop() { return loop_; }

  // Runs `work` on the loop and waits for it. Not from the loop's own thread.
  void run_and_wait(std::function<void()> work);

 private:
  Loop loop_;
  std::string name_;
  std::thread thread_;
};

class Cores {
 public:
  // `count` ≥ 1. One core is a fully supported configuration.
  // `batch_sends`: see Loop::batch_sends().
  explicit Cores(std::size_t count, bool batch_sends = false);
  void start();
  void stop();
  std::size_t size() const { return threads_.size(); }
  Loop& loop(std::size_t index) { return threads_[index]->loop(); }
  LoopThread& thread(std::size_t index) { return *threads_[index]; }

 private:
  std::vector<std::unique_ptr<LoopThread>> threads_;
};

}  // namespace penstock::rt
