// What another server's models say of themselves: Triton's ModelConfig, as config.pbtxt (text format) or as JSON,
// mapped to ours as far as there is a counterpart. What has none is named in ModelConfig::unmapped.
//
//   max_batch_size, dynamic_batching        batch, queue
//   instance_group                          instances; accelerators for KIND_GPU
//   version_policy                          serve
//   input, output                           inputs, outputs (with the batch dimension in front)
//   model_warmup                            warmup, on zeros
//   optimization                            optimize, accelerators
//   parameters                              threads and memory, by the names of Triton's ONNX Runtime backend
//   metric_tags                             tags
//
// Fields: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
#pragma once

#include <string>
#include <string_view>

#include "infer/model_config.h"

namespace penstock::infer {

// `given` names what the text says. Fails with invalid_argument, one "file:line:column: what" per line.
Result<ModelConfig> parse_triton_text(std::string_view text, const std::string& name, const std::string& file);
Result<ModelConfig> parse_triton_json(std::string_view text, const std::string& name, const std::string& file);

// A top-level name that only Triton's ModelConfig has, in either spelling.
bool is_triton_field(std::string_view name);

}  // namespace penstock::infer
