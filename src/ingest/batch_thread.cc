#include "ingest/batch_thread.h"

#include <pthread.h>

#include <system_error>

namespace penstock::ingest {

BatchThread::BatchThread(std::string name, Carry carry) : name_(std::move(name)), carry_(std::move(carry)) {}

BatchThread::~BatchThread() { stop(); }

Result<void> BatchThread::start(rt::Loop& loop) {
  loop_ = &loop;
  alive_ = std::make_shared<bool>(true);
  try {
    thread_ = std::thread([this, alive = std::weak_ptr<bool>(alive_)] { run(alive); });
  } catch (const std::system_error&) {
    return fail(Errc::unavailable, "the system gives no further thread: raise its limit and reload");
  }
  return {};
}

void BatchThread::send(Batch batch, std::function<void(Sent)> done) {
  if (!thread_.joinable()) {
    return done({.outcome = Sent::Outcome::again, .why = "its thread does not run"});
  }
  std::lock_guard lock(mutex_);
  work_ = Work{std::move(batch), std::move(done)};
  ready_.notify_one();
}

void BatchThread::stop(const std::function<void()>& interrupt) {
  alive_.reset();
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.reset();
    ready_.notify_one();
  }
  if (interrupt) interrupt();
  if (thread_.joinable()) thread_.join();
}

void BatchThread::run(const std::weak_ptr<bool>& alive) {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  while (true) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return stopping_ || work_; });
    if (stopping_) return;
    Work work = std::move(*work_);
    work_.reset();
    lock.unlock();
    Sent sent = carry_(*work.batch);
    work.batch.reset();
    lock.lock();
    // Under the mutex: stop() waits for it before the loop may go.
    if (stopping_) return;
    loop_->post([alive, done = std::move(work.done), sent = std::move(sent)] {
      if (!alive.expired()) done(sent);
    });
  }
}

}  // namespace penstock::ingest
