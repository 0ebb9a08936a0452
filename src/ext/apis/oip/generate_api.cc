#include "ext/apis/oip/generate_api.h"

#include "llm/estimate.h"
#include "llm/serve.h"

namespace penstock::ext {
namespace {

// generate_rest.yaml's status of a request that cannot be read.
constexpr int kUnprocessable = 422;

}  // namespace

rt::Task<void> GenerateApi::generate(flow::Call& call, http::Params params, bool stream) const {
  auto body = co_await flow::identify_and_read(call, llm::kRequestBytesMax);
  if (!body) co_return;
  std::string_view version = http::param(params, "v");
  call.model = http::param(params, "m");
  if (!version.empty() && version != kGenerateVersion) {
    Error error{Errc::not_found, fmt::format("model '{}' has no version '{}': language models have version {} only",
                                             call.model, version, kGenerateVersion)};
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  auto read = codec_.read_request(*body);
  if (!read) {
    co_await flow::refuse(call, read.error(), obs::ErrorType::none, kUnprocessable);
    co_return;
  }
  llm::Request request;
  request.family = codec_.family();
  request.operation = codec_.operation();
  request.body = *body;
  request.stream = stream;
  request.codec = &codec_;
  request.output.tokens = read->max_output_tokens.value_or(0);
  // No target gets this body: that there is a place for the number lets the lane bound what it writes.
  request.output.insert(0, 0, "", " ");
  request.canonical = std::make_shared<chat::Request>(std::move(*read));
  call.input_tokens = llm::estimate_tokens(body->size());
  co_await llm::serve(call, lane_, request);
}

void GenerateApi::add_routes(flow::ApiBuilder& builder, const std::shared_ptr<const GenerateApi>& self) {
  for (const std::string prefix : {"/v2/models/{m}", "/v2/models/{m}/versions/{v}"}) {
    for (bool stream : {false, true}) {
      builder.route("POST", prefix + (stream ? "/generate_stream" : "/generate"), "oip",
                    [self, stream](flow::Call& call, http::Params params) {
                      return self->generate(call, std::move(params), stream);
                    });
    }
  }
}

}  // namespace penstock::ext
