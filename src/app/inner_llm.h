// Pipelines ask language models through the gateway's own front door.
#pragma once

#include "flow/front.h"
#include "ingest/contracts.h"

namespace penstock::app {

// Any loop of the gateway's cores.
class InnerLlm : public ingest::LlmPort {
 public:
  // The front is made later than the ports, and outlives the calls.
  void open(flow::Front* front) { front_ = front; }
  void ask(rt::Loop& loop, ingest::LlmQuestion question, std::function<void(Result<std::string>)> done) override;

 private:
  flow::Front* front_ = nullptr;
};

}  // namespace penstock::app
