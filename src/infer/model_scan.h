// A look at an ONNX file before a runtime sees it: whether it is one, whether it stays within bounds, and what it
// needs. Reads the protobuf messages (onnx.proto, github.com/onnx/onnx) in place, keeps nothing of the weights, and
// never trusts a number in the file further than the bytes that are there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::infer {

struct ScanLimits {
  std::size_t depth_max = 32;         // of graphs in attributes of nodes in graphs, and of types in types
  std::size_t nodes_max = 500'000;    // of all graphs and functions
  std::size_t tensors_max = 500'000;  // initializers and tensors in attributes
  std::size_t attributes_max = 5'000'000;
  std::size_t ends_max = 4096;  // inputs without a value in the file, and outputs, of the model
  std::size_t rank_max = 32;
  // Of one tensor that a few bytes of the graph ask to be made while the model loads (ConstantOfShape, Expand).
  std::uint64_t made_bytes_max = std::uint64_t{256} << 20;
};

// A part of a file beside the model that holds a tensor. Whether that file may be read, and is long enough, is for the
// caller to check.
struct ExternalData {
  std::string tensor = {};
  std::string location = {};  // a plain path below the model's folder
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // 0: up to the end
};

struct OperatorSet {
  std::string domain = {};  // "ai.onnx" is written as ""
  std::int64_t version = 0;
  bool operator==(const OperatorSet&) const = default;
};

struct ModelOutline {
  std::int64_t ir_version = 0;
  std::string producer = {};
  std::vector<OperatorSet> operator_sets = {};
  std::size_t nodes = 0;
  std::size_t tensors = 0;
  std::vector<ExternalData> external = {};
};

// Any thread. Errors: data_loss (no ONNX file, or damaged), out_of_range (beyond a bound, which the message names),
// unimplemented (an operator of a domain the runtime does not have), permission_denied (weights outside the model's
// folder).
Result<ModelOutline> scan_model(std::string_view bytes, const ScanLimits& limits = {});

}  // namespace penstock::infer
