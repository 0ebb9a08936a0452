// One inference over gRPC, from its message to its answer: what a unary call does once and a stream again and again.
#pragma once

#include <stop_token>

#include "flow/call.h"
#include "infer/engine.h"
#include "infer/oip_proto.h"

namespace penstock::ext {

// Reads the message into `wanted`, for a caller who may use the model; waits for its turn where limits say so. `call`
// is the inference's own. Errors: those of parsing and of flow::admit().
rt::Task<Result<void>> admit_inference(flow::Call& call, const infer::Repository& repository, std::string_view message,
                                       infer::oip::InferCall& wanted);

// When an inference must be over: the client's own deadline, the request's `timeout`, or half a minute.
base::SteadyTime inference_deadline(base::SteadyTime client, const infer::oip::InferCall& wanted);

// The outputs that are wanted as classes are replaced.
Result<void> classify_wanted(const infer::oip::InferCall& wanted, const infer::Repository& repository,
                             infer::Response& response);

// What a failed run means to the client: one that was stopped because its time ran out did not fail otherwise.
Error run_error(Error error, base::SteadyTime deadline);

}  // namespace penstock::ext
