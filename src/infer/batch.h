// Several requests as one run: which may be put together, how, and how the result is taken apart again.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "infer/request.h"

namespace penstock::infer {

// Rows can be put together: the first dimension of every input and output is open.
bool batchable(const ModelInfo& info);

// What requests must have in common to share a run: the dimensions after the first of every input, and the outputs
// asked for. Empty for one that runs alone: its inputs differ in their first dimension, or have none. `request` and
// `outputs` are as match() left them.
std::string batch_signature(const Request& request, std::span<const std::size_t> outputs);

// The rows of the first input; 1 for one without dimensions.
std::size_t rows_of(const Request& request);

// The inputs of requests of one signature, one behind the other.
std::vector<Tensor> join(std::span<const Request* const> requests);

// The opposite: `rows[i]` of every output for each request. Nothing when an output does not have as many rows as all
// together.
std::optional<std::vector<std::vector<Tensor>>> split(std::span<const Tensor> outputs,
                                                      std::span<const std::size_t> rows);

}  // namespace penstock::infer
