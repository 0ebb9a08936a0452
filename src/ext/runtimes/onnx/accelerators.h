// What models can run on besides the CPU. The library in place names its providers; that one is named says nothing
// about its driver, so each is tried with a model of one multiplication.
// https://onnxruntime.ai/docs/execution-providers/
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ext/runtimes/onnx/ort.h"
#include "infer/runtime.h"

namespace penstock::ext::runtimes::onnx {

// Adds `name` to what a session runs on, with `threads` of its own where it has some. Fails with unimplemented for a
// name nobody knows, unavailable with the reason when it cannot be had. The library must be open.
Result<void> append_accelerator(Ort::SessionOptions& options, std::string_view name, std::size_t threads);

// All that are known, each with the result of its trial; the trials are made once per process. Opens the library: the
// list has only the CPU with the reason when there is none.
std::vector<infer::Accelerator> accelerators();

// "onnxruntime 1.30.0, runs on cpu, xnnpack", or why there is none. Opens the library.
std::string describe();

}  // namespace penstock::ext::runtimes::onnx
