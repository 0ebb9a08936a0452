// What `penstock run` without a file runs: written out, so that it can be read, kept and changed.
#pragma once

#include <string>

#include "base/result.h"

namespace penstock::app {

// Looks around (language models through ${PENSTOCK_FOUND_LLM_...}, ./models/* with numbered versions), writes
// <data_dir>/found.yaml and returns its path.
Result<std::string> write_default_config(const std::string& data_dir);

}  // namespace penstock::app
