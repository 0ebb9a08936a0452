// POST /v1/responses and /v1/responses/input_tokens; GET and DELETE /v1/responses/ID; its cancel and input_items.
#pragma once

#include "ext/apis/openai/kept_responses.h"
#include "flow/dialect.h"
#include "llm/lane.h"
#include "llm/relay.h"
#include "store/response_store.h"

namespace penstock::ext {

class ResponsesApi {
 public:
  // `store` null: no responses are kept.
  ResponsesApi(const llm::Lane& lane, std::shared_ptr<const llm::Relay> relay, store::ResponseStore* store)
      : lane_(lane), relay_(std::move(relay)), store_(store) {}

  // `operation` is responses or count_tokens.
  rt::Task<void> generate(flow::Call& call, llm::Operation operation) const;
  rt::Task<void> show(flow::Call& call, std::string id) const;
  rt::Task<void> remove(flow::Call& call, std::string id) const;
  rt::Task<void> cancel(flow::Call& call, std::string id) const;
  rt::Task<void> list_input_items(flow::Call& call, std::string id) const;

 private:
  bool keeps() const { return store_ != nullptr && store_->enabled(); }
  ResponseOwner owner_of(const flow::Call& call) const;
  // The caller's response; nothing after a refusal, or when the provider that keeps it answered.
  rt::Task<std::optional<store::StoredResponse>> find(flow::Call& call, std::string id) const;

  const llm::Lane& lane_;
  std::shared_ptr<const llm::Relay> relay_;
  store::ResponseStore* store_;
};

void add_responses(flow::ApiBuilder& builder, const llm::Lane& lane, std::shared_ptr<const llm::Relay> relay);

}  // namespace penstock::ext
