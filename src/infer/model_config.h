// A local model as the configuration declares it:
//   models:
//     bearing: { path: models/bearing, serve: latest, instances: 2 }
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::infer {

struct ModelConfig {
  enum class Serve {
    latest,  // the highest version that loads
    all,
    listed,  // `versions`
  };
  std::string name;
  // A directory of numbered version directories; one that holds the model file itself, which is then version 1; or the
  // model file.
  std::string path;
  Serve serve = Serve::latest;
  std::vector<std::int64_t> versions;
  // Runs at the same time per version; 0 leaves it to the number of threads.
  std::size_t instances = 0;

  bool operator==(const ModelConfig&) const = default;
};

// Reads one entry of `models:` that has a `path`. Reports mistakes at their place; the caller calls map.done().
ModelConfig parse_model(config::Map& map, const std::string& name);

}  // namespace penstock::infer
