// A server that speaks Ollama's own API (/api/chat, /api/generate, /api/embed): Ollama on this machine, in the next
// room or in its cloud. https://docs.ollama.com/api
#pragma once

#include "base/secret.h"
#include "llm/provider.h"

namespace penstock::ext {

class OllamaProvider : public llm::Provider {
 public:
  struct Options {
    std::shared_ptr<const http::Origin> origin;  // its URL without /api
    base::Secret api_key;
    http::ClientTimeouts timeouts;
    // Said in translated requests only; a client of Ollama's dialect says them itself.
    std::string keep_alive;    // a duration in Ollama's words, or a number of seconds; empty: not said
    std::int64_t num_ctx = 0;  // tokens of context; 0: not said
  };
  explicit OllamaProvider(Options options);

  const std::shared_ptr<const http::Origin>& origin() const override { return options_.origin; }
  http::ClientTimeouts timeouts() const override { return options_.timeouts; }
  std::string probe_head() const override;

  chat::Family family() const override { return chat::Family::ollama; }
  bool speaks(llm::Operation operation) const override;
  llm::Framing framing() const override { return llm::Framing::lines; }
  Result<llm::UpstreamRequest> encode(const llm::Request& request, std::string_view model,
                                      std::string_view request_id) const override;
  Result<llm::Usage> read_answer(llm::Operation operation, std::string_view body) const override;
  // An event is one line.
  llm::EventVerdict read_event(const llm::Request& request, const wire::SseEvent& event,
                               llm::Usage& usage) const override;

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
  llm::UpstreamRequest send(std::string_view path, bool stream, std::string_view request_id,
                            llm::UpstreamRequest upstream) const;

  Options options_;
  base::Secret fields_;  // of every request; they carry the key
};

}  // namespace penstock::ext
