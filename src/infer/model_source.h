// From a model's file to what a runtime may load: read, its signature checked, decrypted, and looked at. What was
// checked is what is loaded: the bytes themselves are handed on, not the name of a file that somebody could replace.
// Plain files without a signature are handed on by name; the look at them keeps broken files off, not their owner.
#pragma once

#include <string>

#include "infer/inference_config.h"
#include "infer/model_config.h"
#include "infer/model_scan.h"
#include "infer/version_loader.h"

namespace penstock::infer {

// The model file at `path`, which stands in the folder of its version. Blocks; any thread. Errors, naming the file and
// what to do: permission_denied (a signature is asked for and does not hold), failed_precondition (encrypted without a
// key, plain with one, no key to check signatures with), data_loss, out_of_range, unimplemented, not_found.
Result<ModelFile> open_model(const ModelConfig& config, const InferenceConfig& inference, const std::string& path);

// The same for the files of one version that came with a request; `name`, "model.onnx", is among them.
Result<ModelFile> open_given_model(const ModelConfig& config, const InferenceConfig& inference, std::int64_t version,
                                   const GivenFiles& files, const std::string& name);

// Both of them.
FileHooks checked_files();

// Whether a model must be signed: it has `signed_by`, or all must.
bool needs_signature(const ModelConfig& config, const InferenceConfig& inference);

}  // namespace penstock::infer
