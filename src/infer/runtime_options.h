// How a runtime prepares and runs one model:
//   accelerators: [openvino, xnnpack, cpu]   # the first that works here
//   threads: 2                               # within one run
//   optimize: all                            # none | basic | extended | all
//   memory: { max: 200MB, shrink: true }     # shrink: give working memory back after each run
//   isolate: true                            # in a process of its own
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::infer {

struct RuntimeOptions {
  enum class Optimize { none, basic, extended, all };
  std::vector<std::string> accelerators = {};  // names as accelerators() of the runtime has them; empty: the CPU
  std::size_t threads = 1;                     // of one run, the caller's included
  Optimize optimize = Optimize::all;
  std::uint64_t memory_max = 0;  // weights and working memory, bytes; 0: no bound but the gateway's
  bool shrink = false;
  bool isolate = false;
  bool operator==(const RuntimeOptions&) const = default;
};

RuntimeOptions parse_runtime_options(config::Map& model);

}  // namespace penstock::infer
