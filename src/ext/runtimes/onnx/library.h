// Finds and opens ONNX Runtime's shared library. Only this extension's own files include this.
#pragma once

#include <string>

#include "base/result.h"

namespace penstock::ext::runtimes::onnx {

// What is open: where it came from and its version, "1.30.0".
struct Library {
  std::string path;
  std::string version;
};

// Opens the library and makes its interface known to Ort::. Looks at the file PENSTOCK_ORT_LIBRARY names and nowhere
// else when that is set; otherwise in the folder this build was configured with, beside the program (../lib), and where
// the system looks. Never closes it. Fails with unavailable; the message says where it looked and what to do. Any
// thread, any number of times.
Result<Library> open_library();

}  // namespace penstock::ext::runtimes::onnx
