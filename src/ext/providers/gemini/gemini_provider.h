// Google's Gemini API (v1beta), and servers that speak like it.
#pragma once

#include "base/secret.h"
#include "ext/providers/gemini/chat_request.h"
#include "llm/provider.h"

namespace penstock::ext {

class GeminiProvider : public llm::Provider {
 public:
  struct Options {
    std::shared_ptr<const http::Origin> origin;  // its URL up to and with /v1beta
    base::Secret api_key;
    http::ClientTimeouts timeouts;
    ToolSchema tool_schema = ToolSchema::json_schema;
  };
  explicit GeminiProvider(Options options);

  const std::shared_ptr<const http::Origin>& origin() const override { return origin_; }
  http::ClientTimeouts timeouts() const override { return timeouts_; }
  std::string probe_head() const override;
  chat::Family family() const override { return chat::Family::gemini; }
  bool speaks(llm::Operation operation) const override;

  Result<llm::UpstreamRequest> encode(const llm::Request& request, std::string_view model,
                                      std::string_view request_id) const override;
  Result<llm::Usage> read_answer(llm::Operation operation, std::string_view body) const override;
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
  Result<llm::UpstreamRequest> encode_count(const chat::Request& request, std::string_view model,
                                            std::string_view request_id) const override;
  Result<std::int64_t> read_count(std::string_view body) const override;
  chat::ProviderError read_error(int status, std::string_view body) const override;

 private:
  // Request line and fields; the body must be complete.
  void write_head(llm::UpstreamRequest& upstream, std::string_view model, std::string_view method, bool stream,
                  std::string_view request_id, std::string_view lines = {}) const;
  llm::UpstreamRequest upstream_of(const json::Object& body, std::string_view model, std::string_view method,
                                   bool stream, std::string_view request_id) const;

  std::shared_ptr<const http::Origin> origin_;
  http::ClientTimeouts timeouts_;
  ToolSchema tool_schema_;
  std::string base_path_;
  base::Secret fields_;  // of every call; they carry the key
};

}  // namespace penstock::ext
