#include "infer/origin_config.h"

namespace penstock::infer {

OriginConfig parse_origin(config::Map& model) {
  OriginConfig origin;
  origin.signed_by = model.text("signed_by");
  origin.encryption_key = model.secret("encryption_key");
  return origin;
}

}  // namespace penstock::infer
