// Where a model's files come from and what they must prove:
//   pull: { url: https://models.example/bearing-4.onnx, version: 4, sha256: 9f86d0... }   # or a list of them
//   signed_by: ${file:keys/plant.pub}     # PEM; required then
//   encryption_key: ${file:/run/secrets/model_key}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/document.h"

namespace penstock::infer {

struct PullConfig {
  std::string url;
  std::int64_t version = 1;
  std::string sha256;  // 64 hexadecimal digits; of the file
  bool operator==(const PullConfig&) const = default;
};

struct OriginConfig {
  std::vector<PullConfig> pull;
  std::string signed_by;        // a public key in PEM; empty: no signature is asked for
  base::Secret encryption_key;  // empty: files are plain
  bool operator==(const OriginConfig& other) const {
    return pull == other.pull && signed_by == other.signed_by &&
           base::constant_time_equal(encryption_key.reveal(), other.encryption_key.reveal());
  }
};

OriginConfig parse_origin(config::Map& model);

}  // namespace penstock::infer
