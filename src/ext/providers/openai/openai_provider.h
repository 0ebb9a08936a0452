// Any server that speaks OpenAI's API: OpenAI itself, Ollama, llama-server, vLLM, and most others.
#pragma once

#include "base/secret.h"
#include "llm/provider.h"

namespace penstock::ext {

class OpenAiProvider : public llm::Provider {
 public:
  struct Options {
    std::shared_ptr<const http::Origin> origin;  // its URL up to and with /v1
    base::Secret api_key;
    http::ClientTimeouts timeouts;
  };
  explicit OpenAiProvider(Options options);

  const std::shared_ptr<const http::Origin>& origin() const override { return origin_; }
  http::ClientTimeouts timeouts() const override { return timeouts_; }
  Result<llm::UpstreamRequest> encode(const llm::Request& request, std::string_view model,
                                      std::string_view request_id) const override;
  Result<std::string> pass_through(const llm::PassHead& head, std::string_view request_id) const override;
  std::string probe_head() const override;
  Result<llm::Usage> read_answer(llm::Operation operation, std::string_view body) const override;
  llm::EventVerdict read_event(const llm::Request& request, const wire::SseEvent& event,
                               llm::Usage& usage) const override;

 private:
  std::shared_ptr<const http::Origin> origin_;
  http::ClientTimeouts timeouts_;
  std::array<base::Secret, 3> heads_;  // per operation; they carry the key
  base::Secret probe_head_;
  std::string base_path_;
  base::Secret common_fields_;
};

}  // namespace penstock::ext
