// What all local models share: the `inference:` section.
//   inference: { threads: 2, queue: 256, memory: 512MB, power: saver, require_signature: true, triton_metrics: true,
//                watch: 5s }
#pragma once

#include "config/document.h"

namespace penstock::infer {

struct InferenceConfig {
  std::size_t threads = 0;  // runs at the same time of all models that are too long for a loop; 0: the machine's cores
  std::size_t queue_max = 1024;                           // requests waiting, of all models; more are refused
  std::uint64_t memory_max = 0;                           // of all loaded models, bytes; 0: no bound
  bool power_saver = false;                               // one thread, larger batches
  bool require_signature = false;                         // no model is loaded without a valid one
  std::uint64_t file_bytes_max = std::uint64_t{4} << 30;  // of one model file
  bool triton_metrics = false;                            // Triton's metric names beside ours
  base::Duration watch{};                                 // how often model folders are looked at; 0: on reload only
  bool operator==(const InferenceConfig&) const = default;
};

InferenceConfig parse_inference(config::Map& root);

}  // namespace penstock::infer
