// GET /v1/realtime?model=NAME: OpenAI's realtime API over WebSocket. Messages pass both ways unread, but for the usage
// in what the provider says, which limits and accounting go by.
#pragma once

#include <memory>

#include "flow/dialect.h"
#include "llm/relay.h"

namespace penstock::ext {

class RealtimeApi {
 public:
  RealtimeApi(const llm::Lane& lane, std::shared_ptr<const llm::Relay> relay) : lane_(lane), relay_(std::move(relay)) {}
  rt::Task<void> serve(flow::Call& call) const;

 private:
  const llm::Lane& lane_;
  std::shared_ptr<const llm::Relay> relay_;
};

}  // namespace penstock::ext
