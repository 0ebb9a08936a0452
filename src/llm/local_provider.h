// The gateway itself as a provider: models in its own process that turn texts into vectors. Nothing is sent anywhere;
// Dispatch asks LocalEmbeddings instead.
#pragma once

#include "llm/plan.h"

namespace penstock::llm {

// Names of targets begin with this: local/minilm.
constexpr std::string_view kLocalName = "local";

class LocalProvider : public Provider {
 public:
  LocalProvider();
  const std::shared_ptr<const http::Origin>& origin() const override { return origin_; }
  http::ClientTimeouts timeouts() const override;
  std::string probe_head() const override { return {}; }
  Family family() const override { return Family::openai; }
  bool speaks(Operation) const override { return false; }
  Result<UpstreamRequest> encode(const Request& request, std::string_view model,
                                 std::string_view request_id) const override;
  Result<UpstreamRequest> encode(const chat::Request& request, std::string_view model, std::string_view request_id,
                                 chat::Dropped& dropped) const override;
  Result<Usage> read_answer(Operation operation, std::string_view body) const override;
  EventVerdict read_event(const Request& request, const wire::SseEvent& event, Usage& usage) const override;
  Result<chat::Answer> read_chat(const chat::Request& request, std::string_view body) const override;
  std::unique_ptr<chat::StreamReader> stream_reader(const chat::Request& request) const override;
  chat::ProviderError read_error(int status, std::string_view body) const override;

 private:
  std::shared_ptr<const http::Origin> origin_;  // of nobody; for its health alone
};

// Such models as targets. Costs nothing.
Target local_target(std::shared_ptr<const Provider> local, const std::string& model);

}  // namespace penstock::llm
