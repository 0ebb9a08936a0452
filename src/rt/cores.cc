#include "rt/cores.h"

#include <pthread.h>

#include <future>

namespace penstock::rt {

void LoopThread::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), name_.c_str());
    loop_.run();
  });
}

void LoopThread::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

void LoopThread::run_and_wait(std::function<void()> work) {
  std::promise<void> done;
  loop_.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

Cores::Cores(std::size_t count, bool batch_sends) {
  for (std::size_t i = 0; i < count; ++i) {
    threads_.push_back(std::make_unique<LoopThread>(static_cast<int>(i), fmt::format("core-{}", i)));
    if (batch_sends) threads_.back()->loop().batch_sends();
  }
}

void Cores::start() {
  for (auto& thread : threads_) thread->start();
}

void Cores::stop() {
  for (auto& thread : threads_) thread->stop();
}

}  // namespace penstock::rt
