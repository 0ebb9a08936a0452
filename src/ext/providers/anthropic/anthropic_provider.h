// Anthropic, and any server that speaks its Messages API.
#pragma once

#include "base/secret.h"
#include "ext/providers/anthropic/request_writer.h"
#include "llm/provider.h"

namespace penstock::ext::anthropic {

class AnthropicProvider : public llm::Provider {
 public:
  struct Options {
    std::shared_ptr<const http::Origin> origin;  // its URL up to and with /v1
    base::Secret api_key;
    http::ClientTimeouts timeouts;
    std::vector<std::string> betas;  // for every call: names of the provider's trials
    MessagesOptions messages;
  };
  explicit AnthropicProvider(Options options);

  const std::shared_ptr<const http::Origin>& origin() const override { return origin_; }
  http::ClientTimeouts timeouts() const override { return timeouts_; }
  std::string probe_head() const override;
  Result<std::string> pass_through(const llm::PassHead& head, std::string_view request_id) const override;

  chat::Family family() const override { return chat::Family::anthropic; }
  bool speaks(llm::Operation operation) const override;
  Result<llm::UpstreamRequest> encode(const llm::Request& request, std::string_view model,
                                      std::string_view request_id) const override;
  Result<llm::Usage> read_answer(llm::Operation operation, std::string_view body) const override;
  llm::EventVerdict read_event(const llm::Request& request, const wire::SseEvent& event,
                               llm::Usage& usage) const override;
  bool is_opening(const llm::Request& request, const wire::SseEvent& event) const override;

  Result<llm::UpstreamRequest> encode(const chat::Request& request, std::string_view model, std::string_view request_id,
                                      chat::Dropped& dropped) const override;
  Result<chat::Answer> read_chat(const chat::Request& request, std::string_view body) const override;
  std::unique_ptr<chat::StreamReader> stream_reader(const chat::Request& request) const override;
  Result<llm::UpstreamRequest> encode_count(const chat::Request& request, std::string_view model,
                                            std::string_view request_id) const override;
  Result<std::int64_t> read_count(std::string_view body) const override;
  chat::ProviderError read_error(int status, std::string_view body) const override;

 private:
  llm::UpstreamRequest upstream(llm::Operation operation, bool stream, std::string_view lines,
                                std::string_view request_id) const;
  llm::UpstreamRequest upstream(llm::Operation operation, bool stream, std::string body,
                                std::string_view request_id) const;

  std::shared_ptr<const http::Origin> origin_;
  http::ClientTimeouts timeouts_;
  MessagesOptions messages_;
  base::Secret common_fields_;  // with the key
};

}  // namespace penstock::ext::anthropic
