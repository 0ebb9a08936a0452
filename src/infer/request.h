// One inference as every door of the gateway asks for it: OIP over HTTP or gRPC, a pipeline step, a guardrail.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "infer/runtime.h"

namespace penstock::infer {

struct Request {
  std::string model;
  std::string version;               // empty: the default one
  std::vector<Tensor> inputs;        // any order
  std::vector<std::string> outputs;  // empty: all, in the model's order
};

struct Response {
  std::string model;
  std::string version;
  std::vector<Tensor> outputs;  // in the order asked for
  base::Duration queue{};       // waiting for a thread or an instance
  base::Duration compute{};     // inside the runtime
};

// Checks `request` against what the model declares, puts its inputs into the model's order, and returns the places of
// the outputs asked for. Fails with invalid_argument; the message names the tensor, what was expected and what came.
Result<std::vector<std::size_t>> match(const ModelInfo& info, Request& request);

}  // namespace penstock::infer
