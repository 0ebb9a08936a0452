// How requests of one model share runs and wait for their turn:
//   instances: 2                    # or { min: 1, max: 4 }: runs at the same time, scaled by the queue
//   batch: { max: 32, wait: 2ms, preferred: [8, 16] }
//   queue: { max: 256, priorities: 3, default_priority: 2, timeout: 5s, on_timeout: refuse }
//   weight: 2                       # twice the compute time of others when several wait
#pragma once

#include <cstdint>
#include <vector>

#include "config/document.h"

namespace penstock::infer {

struct BatchConfig {
  std::size_t max = 1;                 // rows of one run; 1: requests are never put together
  base::Duration wait{};               // how long the first of a batch waits for others
  std::vector<std::size_t> preferred;  // ascending; a batch of such a size does not wait for more
  bool operator==(const BatchConfig&) const = default;
};

struct QueueConfig {
  // Waiting for one version; more are refused with backpressure.
  std::size_t max = 256;
  // 1 is the first served. A request that names none has `default_priority`.
  std::uint32_t priorities = 1;
  std::uint32_t default_priority = 1;
  // A request that waited longer is refused with deadline_exceeded, or, where `delay` is set, served after all others.
  base::Duration timeout{};  // 0: only its own
  bool delay = false;
  bool allow_timeout = true;  // requests may name a timeout of their own
  bool operator==(const QueueConfig&) const = default;
};

// Runs of one version at the same time.
struct InstanceConfig {
  std::size_t min = 0;  // 0: as many as there are threads
  std::size_t max = 0;
  bool operator==(const InstanceConfig&) const = default;
};

BatchConfig parse_batch(config::Map& model);
QueueConfig parse_queue(config::Map& model);
InstanceConfig parse_instances(config::Map& model);
// The model's share of compute time when several wait for a thread, against 1 of the others.
double parse_weight(config::Map& model);

}  // namespace penstock::infer
