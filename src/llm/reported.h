// What providers report as used.
#pragma once

#include <algorithm>
#include <span>

#include "json/integers.h"

namespace penstock::llm {

// 10^9: beyond any context, and safe to add up.
constexpr std::int64_t kReportedMax = 1'000'000'000;

// Counts that can be true. One that is negative or absurd takes the others with it: then nothing was reported.
inline bool are_sane(std::span<const json::IntegerAt> counts) {
  return std::ranges::none_of(counts, [](const json::IntegerAt& count) {
    return count.value && (*count.value < 0 || *count.value > kReportedMax);
  });
}

}  // namespace penstock::llm
