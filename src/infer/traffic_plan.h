// How requests that name no version are spread at this moment. A plain value: choosing allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "infer/traffic.h"

namespace penstock::infer {

struct TrafficPlan {
  struct Part {
    std::int64_t version = 0;
    double share = 0;
  };
  std::int64_t promoted = 0;  // gets everything that the canary does not; 0: none
  std::int64_t stable = 0;    // the same where there is no split
  std::uint32_t parts = 0;    // of `split` in use
  std::array<Part, kSplitMax> split{};
  std::int64_t canary = 0;  // gets its share now; 0: none
  double canary_share = 0;
  double compare_share = 0;  // of the canary's requests: run by the other version too, to compare
  std::int64_t shadow = 0;
  double shadow_share = 0;
  std::int64_t on_trial = 0;  // a canary's version that is not promoted: answers only where nothing else can
};

// A number from 0 to 1 (not 1 itself) that follows from model and text alone: the same after a restart, and in every
// gateway.
double sticky_place(std::string_view model, std::string_view text);

// What decides for one request: places from 0 to 1, each of its own.
struct Draw {
  double canary = 0;  // whether the canary answers
  double split = 0;   // which part does
  double extra = 0;   // whether another version runs it too
};
// From the sticky text where there is one, else at random.
Draw draw(std::string_view model, std::string_view sticky);

// `ready`: ascending, not empty.
Choice choose(const TrafficPlan& plan, const Draw& draw, std::span<const std::int64_t> ready);
// The one that most of them get.
std::int64_t usual(const TrafficPlan& plan, std::span<const std::int64_t> ready);

}  // namespace penstock::infer
