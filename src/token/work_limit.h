// How much of the text that strangers send is counted exactly, so that counting holds a core for a bounded time.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::token {

// While one stands, Encoding::count() on this thread counts exactly until the work is used up, and afterwards gives
// most_tokens(). One within another is part of it. Must not stand across a suspension of a coroutine.
class WorkLimit {
 public:
  // Some 10 ns each: about 100 ms together. A byte of a word that is a token is 1 of them; of prose that makes several
  // megabytes, of an endless random word some 150 kB.
  static constexpr std::int64_t kUnits = 10'000'000;

  explicit WorkLimit(std::int64_t units = kUnits);
  ~WorkLimit();
  WorkLimit(const WorkLimit&) = delete;
  WorkLimit& operator=(const WorkLimit&) = delete;

  static WorkLimit* current();
  // Some text was not counted.
  bool exceeded() const { return outer_ != nullptr ? outer_->exceeded() : exceeded_; }

  // For Encoding. False, and nothing is used, when there is not that much left.
  bool take(std::int64_t units);

 private:
  WorkLimit* outer_;
  std::int64_t left_;
  bool exceeded_ = false;
};

// What a text has at most, but for what is made to have more: 5/8 of a token for each ASCII letter and blank, 11/8 for
// each digit, one for every other byte; no more than it has bytes.
std::int64_t most_tokens(std::string_view text);

}  // namespace penstock::token
