// What the sessions of this process share, and how one is set up.
#pragma once

#include <memory>

#include "ext/runtimes/onnx/ort.h"
#include "infer/runtime_options.h"

namespace penstock::ext::runtimes::onnx {

// What every session of the process shares.
struct Environment {
  Ort::Env env;
  Ort::MemoryInfo memory;  // of our own buffers
};

// The library has one environment per process. The library must be open. May throw Ort::Exception.
std::shared_ptr<Environment> shared_environment();

// One thread, no spinning, memory from ModelMemory.
Ort::SessionOptions base_session_options();
// And as `options` say, accelerators left out.
Ort::SessionOptions session_options(const infer::RuntimeOptions& options);

}  // namespace penstock::ext::runtimes::onnx
