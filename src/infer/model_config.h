// A local model as the configuration declares it, in the gateway's file or in model.yaml beside its versions. Each part
// has its keys in a file of its own; what the gateway's file says goes before model.yaml.
//   models:
//     bearing: { path: models/bearing, serve: latest, instances: 2, batch: { max: 32, wait: 2ms } }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/document.h"
#include "infer/batch_config.h"
#include "infer/embed_config.h"
#include "infer/origin_config.h"
#include "infer/residence_config.h"
#include "infer/runtime.h"
#include "infer/runtime_options.h"
#include "infer/traffic_config.h"

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
  std::string path;  // empty: of one that is pulled, until somebody says where
  Serve serve = Serve::latest;
  std::vector<std::int64_t> versions;  // ascending
  std::size_t latest = 1;              // how many of the highest versions that load; of Serve::latest
  InstanceConfig instances;
  BatchConfig batch;
  QueueConfig queue;
  double weight = 1;  // of this model's turn when several wait for a thread
  RuntimeOptions runtime;
  ResidenceConfig residence;
  TrafficConfig traffic;
  OriginConfig origin;
  std::optional<EmbedConfig> embed;
  // What the model must take and give, where it is declared: a version that differs is not served. Names, datatypes and
  // shapes; -1 is any dimension.
  //   inputs: [{ name: x, datatype: FP32, shape: [-1, 4] }]
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  // Keys the file named: what model.yaml says about the others holds.
  std::vector<std::string> given;
  // What was asked for in another server's terms and has no counterpart here, in words.
  std::vector<std::string> unmapped;

  bool operator==(const ModelConfig&) const = default;
};

// Reads one entry of `models:` that has a `path`. Reports mistakes at their place; the caller calls map.done().
ModelConfig parse_model(config::Map& map, const std::string& name);
// The same keys without `path`, and without where files come from and what they must prove: those are the gateway's to
// say, not the model's.
ModelConfig parse_model_file(config::Map& map, const std::string& name);

// Takes over from `from` what its `given` names, where `to.given` does not name it too; with `replace`, all of it.
void merge_model(ModelConfig& to, const ModelConfig& from, bool replace = false);

}  // namespace penstock::infer
