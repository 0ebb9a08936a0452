// A bounded queue from one core to the observer thread. Neither side waits, locks or allocates.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace penstock::obs {

template <class T>
class Ring {
 public:
  // `capacity` is a power of two. The slots are not touched until used.
  explicit Ring(std::size_t capacity) : mask_(capacity - 1), slots_(new T[capacity]) {}

  // Producer. False when full: the record is dropped and counted.
  bool push(const T& value) {
    std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) > mask_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    slots_[tail & mask_] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  // Consumer. Calls `take` for every record that is there.
  template <class F>
  std::size_t drain(F take) {
    std::size_t head = head_.load(std::memory_order_relaxed);
    std::size_t tail = tail_.load(std::memory_order_acquire);
    for (std::size_t i = head; i != tail; ++i) {
      take(slots_[i & mask_]);
      head_.store(i + 1, std::memory_order_release);
    }
    return tail - head;
  }

  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::size_t mask_;
  std::unique_ptr<T[]> slots_;
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace penstock::obs
