// Tensors of ours as values of the library and back.
#pragma once

#include <string>

#include "ext/runtimes/onnx/ort.h"
#include "infer/runtime.h"

namespace penstock::ext::runtimes::onnx {

// What the protocol calls an input or output. unimplemented when it is a sequence, a map, or of an element type the
// protocol has no name for. `what`: "input" or "output", for the message.
Result<infer::TensorSpec> describe(std::string_view what, std::string name, const Ort::TypeInfo& type);

// Borrows the tensor's bytes, which must outlive the value and are written to when it is an output; strings are copied.
Ort::Value to_value(const infer::Tensor& tensor, const Ort::MemoryInfo& memory);
// A copy.
infer::Tensor from_value(const infer::TensorSpec& spec, const Ort::Value& value);

}  // namespace penstock::ext::runtimes::onnx
