// One immutable value that many threads read and few replace: readers neither wait nor count references.
//
//   Published<Table> table(std::make_unique<const Table>());
//   { auto now = table.read(); now->find(name); }     // a few nanoseconds; now keeps what it saw alive
//   table.replace(std::make_unique<const Table>(...));  // returns what was there when nobody can see it any more
//
// A reader announces itself in one of a few counters, each on a cache line of its own, before it looks at the pointer;
// who replaces waits until every counter was seen at zero, for readers hold on only for as long as a look-up takes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace penstock::infer {

template <class T>
class Published {
  struct alignas(64) Counter {
    std::atomic<std::uint32_t> readers{0};
  };

 public:
  // For the length of a look-up: the value cannot be replaced meanwhile.
  class Reading {
   public:
    explicit Reading(const Published& from) : counter_(from.counters_[place()]) {
      counter_.readers.fetch_add(1, std::memory_order_seq_cst);
      value_ = from.value_.load(std::memory_order_seq_cst);
    }
    ~Reading() { counter_.readers.fetch_sub(1, std::memory_order_release); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    const T& operator*() const { return *value_; }
    const T* operator->() const { return value_; }

   private:
    Counter& counter_;
    const T* value_ = nullptr;
  };

  explicit Published(std::unique_ptr<const T> first) : value_(first.release()) {}
  ~Published() { delete value_.load(); }
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  // Any thread.
  Reading read() const { return Reading(*this); }
  // One thread at a time, which does not read meanwhile.
  std::unique_ptr<const T> replace(std::unique_ptr<const T> next) {
    std::unique_ptr<const T> old(value_.exchange(next.release(), std::memory_order_seq_cst));
    for (Counter& counter : counters_) {
      while (counter.readers.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    }
    return old;
  }

 private:
  static constexpr std::size_t kCounters = 16;
  // Threads take counters in turn, so that those of a few loops are apart.
  static std::size_t place() {
    static std::atomic<std::size_t> next{0};
    thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % kCounters;
    return mine;
  }

  mutable std::array<Counter, kCounters> counters_;
  std::atomic<const T*> value_;
};

}  // namespace penstock::infer
