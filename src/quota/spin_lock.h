// A lock of one byte for sections of some dozens of nanoseconds.
#pragma once

#include <atomic>
#include <thread>

namespace penstock::quota {

// Spins briefly, then lets others run: whoever holds it may have been put off its core. Never held over a call-out.
class SpinLock {
 public:
  void lock() {
    while (taken_.test_and_set(std::memory_order_acquire)) {
      for (int i = 0; taken_.test(std::memory_order_relaxed); ++i) {
        if (i >= kSpins) std::this_thread::yield();
      }
    }
  }
  void unlock() { taken_.clear(std::memory_order_release); }

 private:
  static constexpr int kSpins = 100;
  std::atomic_flag taken_;
};

}  // namespace penstock::quota
