// How local models do, as metrics: by version, under our names and, where asked for, under Triton's as well, so that
// dashboards made for it go on.
#pragma once

#include <atomic>

#include "infer/repository.h"
#include "obs/metrics.h"

namespace penstock::app {

// Any thread.
class ModelMetrics {
 public:
  // The repository outlives it.
  explicit ModelMetrics(const infer::Repository& repository) : repository_(repository) {}
  void show_triton(bool shown) { triton_.store(shown); }
  void collect(obs::MetricWriter& writer) const;

 private:
  const infer::Repository& repository_;
  std::atomic<bool> triton_{false};
};

}  // namespace penstock::app
