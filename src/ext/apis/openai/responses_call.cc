#include "ext/apis/openai/responses_call.h"

#include "ext/apis/openai/kept_responses.h"
#include "ext/apis/openai/responses_stream_writer.h"
#include "json/peek.h"
#include "obs/log.h"

namespace penstock::ext {
namespace {

class KeptStream : public ResponsesStreamWriter {
 public:
  KeptStream(const chat::Request& request, const ResponsesCall& call) : ResponsesStreamWriter(request), call_(call) {}
  void end() override {
    ResponsesStreamWriter::end();
    call_.keep(response());
  }

 private:
  const ResponsesCall& call_;
};

// The value of a top-level field of a JSON object, as text of JSON.
std::string_view field_of(std::string_view object, std::string_view name, json::Field& field) {
  std::array<std::string_view, 1> names{name};
  std::array<json::Field, 1> fields;
  if (!json::peek(object, names, fields)) return {};
  field = fields[0];
  return object.substr(field.begin, field.end - field.begin);
}

void complain(const Error& error) {
  obs::log(obs::Level::warn, "a response is not kept: its caller will not find it", {{"why", error.detail}});
}

}  // namespace

Result<chat::Request> ResponsesCall::read_request(std::string_view body) const {
  auto request = ResponsesCodec::read_request(body);
  if (!request) return request;
  request->echo["id"] = terms_.seed;
  request->echo["store"] = terms_.store != nullptr;
  if (!terms_.previous.empty()) request->echo["previous_response_id"] = terms_.previous;
  return request;
}

std::string ResponsesCall::write_answer(const chat::Request& request, const chat::Answer& answer) const {
  std::string response = ResponsesCodec::write_answer(request, answer);
  keep(response);
  return response;
}

std::unique_ptr<chat::StreamWriter> ResponsesCall::stream_writer(const chat::Request& request) const {
  return std::make_unique<KeptStream>(request, *this);
}

void ResponsesCall::keep(const std::string& response) const {
  if (terms_.store == nullptr) return;
  std::size_t bytes = terms_.input.size() + response.size();
  auto kept = terms_.store->add(bytes, [terms = terms_, response]() -> Result<store::StoredResponse> {
    std::string id = "resp_" + terms.seed;
    auto input = kept_input(terms.input, id);
    if (!input) return std::unexpected(input.error());
    return store::StoredResponse{std::move(id), terms.key, {}, terms.previous, std::move(*input), response};
  });
  if (!kept) complain(kept.error());
}

void ResponsesCall::keep_native(std::string_view provider, std::string_view answer) const {
  if (terms_.store == nullptr) return;
  json::Field field;
  std::string_view response = field_of(answer, "response", field);
  std::string_view object = field.kind == json::Field::Kind::object ? response : answer;
  (void)field_of(object, "id", field);
  if (field.kind != json::Field::Kind::string) return;
  store::StoredResponse row{std::string(field.string), terms_.key, std::string(provider), {}, {}, {}};
  auto kept = terms_.store->add(row.id.size(), [row] { return Result<store::StoredResponse>(row); });
  if (!kept) complain(kept.error());
}

}  // namespace penstock::ext
