// Tensors as raw bytes, as OIP's binary extension and gRPC's raw contents have them: little-endian, row-major; BOOL is
// a byte of 0 or 1; a BYTES element is its length in four bytes and then its bytes.
#pragma once

#include <string>
#include <string_view>

#include "infer/runtime.h"

namespace penstock::infer {

// Fills a tensor whose datatype and shape are set. Copies `raw` once. invalid_argument when the two do not agree.
Result<void> fill_raw(Tensor& tensor, std::string_view raw);
std::size_t raw_size(const Tensor& tensor);
void append_raw(std::string& out, const Tensor& tensor);

// A request that is nothing but the bytes of the model's one input. At most one dimension may be open, which the size
// then decides; of two the first counts as rows, and is 1. The bytes of a BYTES input are its one element, without a
// length. invalid_argument.
Result<Tensor> deduce_raw(const ModelInfo& model, std::string_view raw);

}  // namespace penstock::infer
