#include "infer/reaper.h"

#include <malloc.h>
#include <pthread.h>

#include <system_error>

namespace penstock::infer {
namespace {

thread_local int t_here = 0;
thread_local bool t_ended = false;

// The allocator keeps what it was given back; a model's memory is worth the walk.
void trim() { ::malloc_trim(0); }

}  // namespace

Reaper::Here::Here() { ++t_here; }

Reaper::Here::~Here() {
  if (--t_here == 0) settle();
}

void Reaper::Here::settle() {
  if (std::exchange(t_ended, false)) trim();
}

Reaper::~Reaper() {
  {
    std::lock_guard lock(grave_->mutex);
    grave_->closed = true;
  }
  grave_->changed.notify_all();
  if (grave_->thread.joinable()) grave_->thread.join();
}

std::shared_ptr<Served> Reaper::keep(std::unique_ptr<Served> served) {
  return {served.release(), [grave = grave_](Served* last) {
            std::unique_ptr<Served> owned(last);
            if (t_here > 0) {
              t_ended = true;
            } else {
              grave->take(std::move(owned));
            }
          }};
}

// `served` ends here when nobody else is there to do it.
void Reaper::Grave::take(std::unique_ptr<Served> served) {
  {
    std::lock_guard lock(mutex);
    if (closed) return;
    try {
      if (!thread.joinable()) {
        thread = std::thread([this] { serve(); });
        pthread_setname_np(thread.native_handle(), "model reaper");
      }
    } catch (const std::system_error&) {
      return;
    }
    dead.push_back(std::move(served));
  }
  changed.notify_one();
}

void Reaper::Grave::serve() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return closed || !dead.empty(); });
    if (dead.empty()) return;
    std::vector<std::unique_ptr<Served>> ending = std::move(dead);
    dead.clear();
    lock.unlock();
    ending.clear();
    trim();
    lock.lock();
  }
}

}  // namespace penstock::infer
