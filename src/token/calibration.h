// How many tokens a byte of text is, learned from what a provider counts: for models whose encoding is not published.
// One for each target. Any thread, without locks.
#pragma once

#include <atomic>
#include <cstdint>

namespace penstock::token {

class Calibration {
 public:
  // Tokens a byte: where it starts, and what it never leaves. English is about 1/4.5, Chinese 1/3 to 1/2.
  static constexpr double kStart = 0.25, kLeast = 1.0 / 12, kMost = 1;
  // Shorter texts say more about what stands around them.
  static constexpr std::int64_t kBytesMin = 40;

  // Rounded up. `bytes` >= 0.
  std::int64_t estimate(std::int64_t bytes) const;
  double tokens_per_byte() const;

  // `reported`: what the provider counted for `bytes` of text, without what it counts for all else. A moving average of
  // the last 16 or so; the first ones count more, so that few calls suffice. A sample outside the bounds counts as the
  // bound.
  void learn(std::int64_t bytes, std::int64_t reported);

 private:
  struct State {
    float ratio = kStart;
    std::uint32_t samples = 0;
  };
  std::atomic<State> state_{State{}};
  static_assert(std::atomic<State>::is_always_lock_free);
};

}  // namespace penstock::token
