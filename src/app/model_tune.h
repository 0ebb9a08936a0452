// Measures how a model runs best on this machine: accelerators, threads within a run, optimisation levels, rows per
// run.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "infer/runtime.h"

namespace penstock::app {

struct TuneOptions {
  std::string file;
  double seconds = 20;                                      // all trials together, about
  std::map<std::string, std::vector<std::int64_t>> shapes;  // of inputs whose open dimensions mean something
};

struct Trial {
  infer::RuntimeOptions options;
  std::size_t rows = 1;
  std::uint64_t runs = 0;
  base::Duration p50{}, p99{};
  double rows_per_second = 0;
  std::uint64_t memory = 0;  // bytes the model held afterwards
  std::string problem;       // why there are no figures
};

struct Tuning {
  std::vector<Trial> trials;  // in the order made
  infer::RuntimeOptions best;
  std::size_t batch = 1;  // rows of one run that pay; 1: batching does not
};

// Errors: as Runtime::load; invalid_argument for shapes the model does not take.
Result<Tuning> tune(const infer::RuntimeFactory& factory, const TuneOptions& options);

// The best as top-level keys of model.yaml.
std::string to_yaml(const Tuning& tuning);
// `existing` with those keys set: values of accelerators, threads and optimize are replaced, of batch only `max`; all
// else stays, comments too. Fails with invalid_argument when `existing` cannot be changed that way.
Result<std::string> merge_yaml(std::string_view existing, const Tuning& tuning);

}  // namespace penstock::app
