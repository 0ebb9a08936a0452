// What a model is to be, put together: the gateway's entry, and model.yaml (or Triton's config.pbtxt) in its folder; or
// a configuration that came with a request to load it.
//
//   models/bearing/model.yaml        the keys of the gateway's entry but `path` and those of its origin
//   models/bearing/4/model.onnx
#pragma once

#include <string>

#include "infer/model_config.h"

namespace penstock::infer {

// `declared` with what its folder says of the keys that it does not name. model.yaml goes before config.pbtxt. Reads
// the disk. Fails with invalid_argument, "file:line:column: what" per mistake: then the folder's word cannot be
// followed.
Result<ModelConfig> with_folder(ModelConfig declared);

// `declared` with what `text` says instead: JSON with the keys of model.yaml or of Triton's ModelConfig. What bounds a
// model (`isolate`, the most memory) can be made tighter, not looser. Fails with invalid_argument.
Result<ModelConfig> with_request(ModelConfig declared, const std::string& text);

}  // namespace penstock::infer
