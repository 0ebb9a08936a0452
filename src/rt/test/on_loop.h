// For tests whose loop runs on a thread of its own.
#pragma once

#include <atomic>
#include <functional>

#include "rt/loop.h"

namespace penstock::rt {

// Runs `work` on the loop and waits until it is done. Not from the loop's own thread.
inline void run_on(Loop& loop, const std::function<void()>& work) {
  std::atomic<bool> done = false;
  loop.post([&] {
    work();
    done = true;
    done.notify_all();
  });
  done.wait(false);
}

}  // namespace penstock::rt
