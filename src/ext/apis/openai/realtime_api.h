// GET /v1/realtime?model=NAME: OpenAI's realtime API over WebSocket. Messages pass both ways unread, but for the usage
// in what the provider says, which limits and accounting go by.
#pragma once

#include "ext/apis/openai/pass_through_api.h"
#include "flow/dialect.h"

namespace penstock::ext {

class RealtimeApi {
 public:
  explicit RealtimeApi(const llm::Lane& lane) : lane_(lane), pass_(lane) {}
  rt::Task<void> serve(flow::Call& call) const;

 private:
  const llm::Lane& lane_;
  PassThroughApi pass_;
};

}  // namespace penstock::ext
