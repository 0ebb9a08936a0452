// POST /v1/messages, POST /v1/messages/count_tokens and, for Anthropic's clients, GET /v1/models.
#pragma once

#include "ext/apis/anthropic/anthropic_codec.h"
#include "flow/dialect.h"
#include "llm/lane.h"

namespace penstock::ext::anthropic {

class AnthropicApi {
 public:
  explicit AnthropicApi(const llm::Lane& lane) : lane_(lane) {}
  // `operation`: chat or count_tokens.
  rt::Task<void> serve(flow::Call& call, chat::Operation operation) const;
  rt::Task<void> list_models(flow::Call& call) const;
  rt::Task<void> show_model(flow::Call& call, std::string id) const;

 private:
  const llm::Lane& lane_;
  AnthropicCodec messages_{chat::Operation::chat};
  AnthropicCodec counts_{chat::Operation::count_tokens};
};

// The header fields that providers of the dialect get, too.
inline constexpr std::string_view kForwardedFields[] = {"anthropic-version", "anthropic-beta"};

}  // namespace penstock::ext::anthropic
