// One inference over gRPC, from its message to its answer: what a unary call does once and a stream again and again.
#pragma once

#include <stop_token>

#include "flow/call.h"
#include "infer/engine.h"
#include "infer/oip_proto.h"

namespace penstock::ext {

struct Inference {
  infer::oip::InferCall wanted = {};
  bool rows_first = false;  // how outputs are classified
  base::SteadyTime deadline = base::SteadyTime::max();
};

// Reads the message for a caller who may use the model; waits for its turn where limits say so. `call` is the
// inference's own. `deadline` is the client's; one that has none waits half a minute, or its `timeout`, for its turn.
// Errors: those of parsing and of flow::admit().
rt::Task<Result<Inference>> admit_inference(flow::Call& call, const infer::Repository& repository,
                                            std::string_view message, base::SteadyTime deadline);

// What a failed run means to the client: one that was stopped because its time ran out did not fail otherwise.
Error run_error(Error error, base::SteadyTime deadline);

}  // namespace penstock::ext
