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
    // In one order with the consumer's mark that it sleeps: either it sees the record, or the producer sees the mark.
    tail_.store(tail + 1, std::memory_order_seq_cst);
    return true;
  }

  // Consumer. Calls `take` for every record that is there.
  template <class F>
  std::size_t drain(F take) {
    std::size_t head = head_.load(std::memory_order_relaxed);
    std::size_t tail = tail_.load(std::memory_order_acquire);
    if (tail - head > peak_.load(std::memory_order_relaxed)) peak_.store(tail - head, std::memory_order_relaxed);
    for (std::size_t i = head; i != tail; ++i) {
      take(slots_[i & mask_]);
      head_.store(i + 1, std::memory_order_release);
    }
    return tail - head;
  }

  bool empty() const { return tail_.load(std::memory_order_seq_cst) == head_.load(std::memory_order_relaxed); }
  std::size_t capacity() const { return mask_ + 1; }
  // The most records that ever waited. Any thread.
  std::size_t peak() const { return peak_.load(std::memory_order_relaxed); }
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::size_t mask_;
  std::unique_ptr<T[]> slots_;
  alignas(64) std::atomic<std::size_t> head_{0};
  std::atomic<std::size_t> peak_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace penstock::obs
