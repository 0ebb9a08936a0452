// Triton's classification extension: the highest elements of an output instead of the tensor.
// https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
#pragma once

#include "infer/tensor.h"

namespace penstock::infer {

// The `count` highest elements, highest first, each as "value:index"; of equal ones the first; NaN is below all. A
// BYTES tensor of shape [k], or [rows, k] with `rows_first`, when each entry of the first dimension is looked at by
// itself; k is `count`, or how many there are. Fails with invalid_argument for BOOL and BYTES, which have no highest.
Result<Tensor> classify(const Tensor& tensor, std::size_t count, bool rows_first);

}  // namespace penstock::infer
