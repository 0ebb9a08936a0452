// One inference as every door of the gateway asks for it: OIP over HTTP or gRPC, a pipeline step, a guardrail.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "infer/runtime.h"

namespace penstock::infer {

struct Request {
  std::string model = {};
  std::string version = {};               // a number or a label; empty: as the model's traffic is split
  std::vector<Tensor> inputs = {};        // any order
  std::vector<std::string> outputs = {};  // empty: all, in the model's order
  std::uint32_t priority = 0;             // 1 is the first served; 0: the model's default
  base::Duration timeout{};               // in the queue; 0: the model's
  std::string sticky = {};                // the same text gets the same version; empty: any
  std::stop_token stop = {};              // nobody waits any more
};

struct Response {
  std::string model = {};
  std::string version = {};
  std::vector<Tensor> outputs = {};  // in the order asked for
  base::Duration queue{};            // waiting for a thread, an instance or a batch
  base::Duration compute{};          // inside the runtime
  std::size_t batch = 1;             // rows of the run it was part of
};

// Checks `request` against what the model declares, puts its inputs into the model's order, and returns the places of
// the outputs asked for. Fails with invalid_argument; the message names the tensor, what was expected and what came.
Result<std::vector<std::size_t>> match(const ModelInfo& info, Request& request);

}  // namespace penstock::infer
