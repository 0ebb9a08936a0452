// The body of POST /v2/repository/models/{m}/load, as Triton's model repository extension has it:
//   {"parameters": {"config": "{...}", "file:1/model.onnx": "<base64>"}}
#pragma once

#include "infer/repository.h"

namespace penstock::ext {

// Config and files; the rest is the caller's to say. An empty body asks for neither. invalid_argument: no JSON, a path
// that is not VERSION/NAME, a file that is no base64, files without a config.
Result<infer::LoadRequest> parse_load(std::string_view body);

}  // namespace penstock::ext
