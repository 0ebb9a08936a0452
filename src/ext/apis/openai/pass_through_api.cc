#include "ext/apis/openai/pass_through_api.h"

namespace penstock::ext {
namespace {

using Body = llm::Relay::Body;

constexpr std::array kJsonCalls{
    llm::JsonCall{.path = "/audio/speech", .text = "input", .answers = true},
    llm::JsonCall{.path = "/images/generations",
                  .text = "prompt",
                  .service = "images",
                  .images = true,
                  .answers = true,
                  .needs = flow::Capability::images},
    llm::JsonCall{
        .path = "/moderations", .text = "input", .bytes_max = llm::kMediaBodyBytesMax, .service = "moderations"},
    llm::JsonCall{.path = "/rerank",
                  .text = "documents",
                  .bytes_max = llm::kMediaBodyBytesMax,
                  .needs = flow::Capability::embeddings},
};

constexpr std::array<std::string_view, 4> kForms{"/audio/transcriptions", "/audio/translations", "/images/edits",
                                                 "/images/variations"};

struct Service {
  std::string_view method;
  std::string_view path;
  std::string_view name;
  Body body = Body::none;
};

constexpr std::array kServices{
    Service{"POST", "/v1/files", "files", Body::form},
    Service{"GET", "/v1/files", "files"},
    Service{"GET", "/v1/files/{id}", "files"},
    Service{"DELETE", "/v1/files/{id}", "files"},
    Service{"GET", "/v1/files/{id}/content", "files"},
    Service{"POST", "/v1/batches", "batches", Body::json},
    Service{"GET", "/v1/batches", "batches"},
    Service{"GET", "/v1/batches/{id}", "batches"},
    Service{"POST", "/v1/batches/{id}/cancel", "batches", Body::json},
};

}  // namespace

void add_pass_through(flow::ApiBuilder& builder, std::shared_ptr<const llm::Relay> relay) {
  for (const llm::JsonCall& what : kJsonCalls) {
    builder.route("POST", "/v1" + std::string(what.path), "openai",
                  [relay, what](flow::Call& call, http::Params) { return relay->send_json(call, what); });
  }
  for (std::string_view path : kForms) {
    builder.route("POST", "/v1" + std::string(path), "openai",
                  [relay, path](flow::Call& call, http::Params) { return relay->send_form(call, path); });
  }
  for (const Service& service : kServices) {
    builder.route(
        std::string(service.method), std::string(service.path), "openai",
        [relay, &service](flow::Call& call, http::Params) { return relay->ask(call, service.name, service.body); });
  }
}

}  // namespace penstock::ext
