// The figures of one version of a model.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::infer {

// A count and the time it took.
struct Tally {
  std::uint64_t count = 0;
  std::uint64_t nanoseconds = 0;
};

// Upper bounds in seconds of the histograms of phases; +Inf is implied.
extern const std::array<double, 16> kPhaseBounds;

// Runs of one size.
struct BatchTally {
  std::size_t rows = 0;
  Tally input = {};    // putting the rows together
  Tally compute = {};  // inside the runtime
  Tally output = {};   // taking them apart
};

struct StatsView {
  Tally success = {};  // whole requests, from arrival to result
  Tally failure = {};
  Tally queue = {};                      // waiting for a thread, an instance or a batch
  Tally input = {};                      // putting requests together
  Tally compute = {};                    // inside the runtime, per request
  Tally output = {};                     // taking results apart
  std::uint64_t inferences = 0;          // rows: the first dimension of the first input
  std::uint64_t executions = 0;          // runs of the runtime
  std::uint64_t inline_runs = 0;         // of `executions`, how many ran on the caller's loop
  std::uint64_t last_millis = 0;         // Unix time of the last request; 0 for never
  std::uint64_t rejected = 0;            // of `failure`: the queue was full, or the time ran out in it
  std::uint64_t cancelled = 0;           // of `failure`: nobody waited any more
  std::uint64_t pending = 0;             // in the queue now
  std::vector<BatchTally> batches = {};  // ascending
  // By phase, requests within each of kPhaseBounds and above: not added up.
  std::array<std::uint64_t, 17> queue_within{};
  std::array<std::uint64_t, 17> compute_within{};
  std::array<std::uint64_t, 17> total_within{};
};

}  // namespace penstock::infer
