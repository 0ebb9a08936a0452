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
    bool compatible = false;  // translated requests keep to what other servers of the dialect know
    bool responses = false;   // it has the Responses API
  };
  explicit OpenAiProvider(Options options);

  const std::shared_ptr<const http::Origin>& origin() const override { return origin_; }
  http::ClientTimeouts timeouts() const override { return timeouts_; }
  Result<llm::UpstreamRequest> encode(const llm::Request& request, std::string_view model,
                                      std::string_view request_id) const override;
  Result<std::string> pass_through(const llm::PassHead& head, std::string_view request_id) const override;
  std::string probe_head() const override;
  chat::Family family() const override { return chat::Family::openai; }
  bool speaks(llm::Operation operation) const override;
  Result<llm::Usage> read_answer(llm::Operation operation, std::string_view body) const override;
  llm::EventVerdict read_event(const llm::Request& request, const wire::SseEvent& event,
                               llm::Usage& usage) const override;
  bool is_opening(const llm::Request& request, const wire::SseEvent& event) const override;
  Result<llm::UpstreamRequest> encode(const chat::Request& request, std::string_view model, std::string_view request_id,
                                      chat::Dropped& dropped) const override;
  Result<chat::Answer> read_chat(const chat::Request& request, std::string_view body) const override;
  std::unique_ptr<chat::StreamReader> stream_reader(const chat::Request& request) const override;
  Result<llm::UpstreamRequest> encode(const chat::EmbeddingsRequest& request, std::string_view model,
                                      std::string_view request_id, chat::Dropped& dropped) const override;
  Result<chat::EmbeddingsAnswer> read_embeddings(const chat::EmbeddingsRequest& request,
                                                 std::string_view body) const override;
  chat::ProviderError read_error(int status, std::string_view body) const override;

 private:
  void finish_post(llm::Operation operation, bool stream, std::string_view request_id,
                   llm::UpstreamRequest& upstream) const;

  std::shared_ptr<const http::Origin> origin_;
  http::ClientTimeouts timeouts_;
  bool compatible_;
  bool responses_;
  std::array<base::Secret, chat::kOperations> heads_;  // per operation; they carry the key
  base::Secret probe_head_;
  std::string base_path_;
  base::Secret common_fields_;
};

}  // namespace penstock::ext
