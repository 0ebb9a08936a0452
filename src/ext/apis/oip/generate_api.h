// /v2/models/{m}/generate and /generate_stream onto the language models of the gateway.
#pragma once

#include "ext/apis/oip/generate_codec.h"
#include "flow/dialect.h"
#include "llm/lane.h"

namespace penstock::ext {

class GenerateApi {
 public:
  explicit GenerateApi(const llm::Lane& lane) : lane_(lane) {}
  static void add_routes(flow::ApiBuilder& builder, const std::shared_ptr<const GenerateApi>& self);
  rt::Task<void> generate(flow::Call& call, http::Params params, bool stream) const;

 private:
  const llm::Lane& lane_;
  GenerateCodec codec_;
};

}  // namespace penstock::ext
