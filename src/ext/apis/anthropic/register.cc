#include "base/registry.h"
#include "ext/apis/anthropic/anthropic_api.h"
#include "ext/apis/anthropic/anthropic_dialect.h"
#include "llm/relay.h"

namespace penstock::ext {
namespace {

constexpr const char* kApi = "anthropic";

struct Batches {
  const char* method;
  const char* path;
  llm::Relay::Body body = llm::Relay::Body::none;
};

constexpr std::array kBatches{
    Batches{"POST", "/v1/messages/batches", llm::Relay::Body::json},
    Batches{"GET", "/v1/messages/batches"},
    Batches{"GET", "/v1/messages/batches/{id}"},
    Batches{"DELETE", "/v1/messages/batches/{id}"},
    Batches{"POST", "/v1/messages/batches/{id}/cancel", llm::Relay::Body::json},
    Batches{"GET", "/v1/messages/batches/{id}/results"},
};

void build(flow::ApiBuilder& builder) {
  const auto* lane = builder.services().find<llm::Lane>();
  if (lane == nullptr) return;
  builder.dialect(kApi, std::make_unique<anthropic::AnthropicDialect>());
  auto api = std::make_shared<const anthropic::AnthropicApi>(*lane);
  auto post = [&](const std::string& path, chat::Operation operation) {
    builder.route("POST", path, kApi,
                  [api, operation](flow::Call& call, http::Params) { return api->serve(call, operation); });
  };
  post("/v1/messages", chat::Operation::chat);
  post("/v1/messages/count_tokens", chat::Operation::count_tokens);
  // The same paths as OpenAI's: every client of this dialect says which version of it.
  constexpr std::string_view kMark = "anthropic-version";
  builder.route_if(kMark, "GET", "/v1/models", kApi,
                   [api](flow::Call& call, http::Params) { return api->list_models(call); });
  builder.route_if(kMark, "GET", "/v1/models/{id...}", kApi, [api](flow::Call& call, http::Params params) {
    return api->show_model(call, std::string(http::param(params, "id")));
  });
  std::vector<std::string_view> fields(std::begin(anthropic::kForwardedFields), std::end(anthropic::kForwardedFields));
  auto relay = std::make_shared<const llm::Relay>(*lane, llm::Family::anthropic, std::move(fields));
  for (const Batches& each : kBatches) {
    builder.route(each.method, each.path, kApi, [relay, body = each.body](flow::Call& call, http::Params) {
      return relay->ask(call, "batches", body);
    });
  }
}

}  // namespace

void register_apis_anthropic(base::Registry& registry) {
  registry.add("anthropic", flow::ApiFactory{build});
  for (auto operation : {chat::Operation::chat, chat::Operation::count_tokens}) {
    registry.add(fmt::format("anthropic.{}", chat::to_string(operation)), chat::ClientCodecFactory{[operation] {
                   return std::make_shared<const anthropic::AnthropicCodec>(operation);
                 }});
  }
}

}  // namespace penstock::ext
