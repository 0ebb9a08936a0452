// Where a model's files come from and what they must prove:
//   pull: { url: https://models.example/bearing-4.onnx, version: 4, sha256: 9f86d0..., authorization: ${TOKEN} }
//                                         # or a list of them; instead of `path`
//   signed_by: ${file:keys/plant.pub}     # PEM, one key or several; a signature is required then
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
  std::string sha256;          // 64 lower-case hexadecimal digits; of the file
  base::Secret authorization;  // the field of that name, sent to the host of `url` alone; empty: none
  bool operator==(const PullConfig& other) const {
    return url == other.url && version == other.version && sha256 == other.sha256 &&
           base::constant_time_equal(authorization.reveal(), other.authorization.reveal());
  }
};

struct OriginConfig {
  std::vector<PullConfig> pull;
  std::string signed_by;        // public keys in PEM; empty: no signature is asked for
  base::Secret encryption_key;  // empty: files are plain
  bool operator==(const OriginConfig& other) const {
    return pull == other.pull && signed_by == other.signed_by &&
           base::constant_time_equal(encryption_key.reveal(), other.encryption_key.reveal());
  }
};

// Errors, at their place: a URL that is none, a checksum that is none, a version twice, keys that are none.
OriginConfig parse_origin(config::Map& model);

}  // namespace penstock::infer
