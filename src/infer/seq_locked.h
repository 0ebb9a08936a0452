// A small value that is read all the time and changed now and then: readers take a copy without a lock or allocation,
// and try again where a change comes between. Any number of readers; one writer at a time.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace penstock::infer {

template <class T>
class SeqLocked {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  SeqLocked() { write(T{}); }

  void write(const T& value) {
    Words words{};
    std::memcpy(words.data(), &value, sizeof(T));
    std::uint64_t turn = turn_.load(std::memory_order_relaxed);
    turn_.store(turn + 1, std::memory_order_relaxed);
    // Release: whoever sees one of the words sees that the turn is odd.
    for (std::size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_release);
    turn_.store(turn + 2, std::memory_order_release);
  }

  T read() const {
    Words words{};
    while (true) {
      std::uint64_t turn = turn_.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
      if (turn % 2 == 0 && turn_.load(std::memory_order_relaxed) == turn) break;
    }
    T value;
    std::memcpy(&value, words.data(), sizeof(T));
    return value;
  }

 private:
  static constexpr std::size_t kWords = (sizeof(T) + 7) / 8;
  using Words = std::array<std::uint64_t, kWords>;
  std::atomic<std::uint64_t> turn_{0};
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace penstock::infer
