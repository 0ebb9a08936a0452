#include "ext/apis/openai/responses_codec.h"

#include "ext/apis/openai/responses_reader.h"
#include "ext/apis/openai/responses_stream_writer.h"

namespace penstock::ext {
namespace {

using chat::Field;

struct FieldName {
  Field field;
  std::string_view name;
};

// Where the API's name is another than the canonical one.
constexpr FieldName kNames[] = {
    {Field::logprobs, "top_logprobs"},
    {Field::tool_strict, "tools.strict"},
    {Field::response_format, "text.format"},
    {Field::verbosity, "text.verbosity"},
    {Field::thinking, "reasoning.encrypted_content"},
    {Field::image, "input_image"},
    {Field::image_url, "input_image.image_url"},
    {Field::image_detail, "input_image.detail"},
    {Field::audio, "input_audio"},
    {Field::document, "input_file"},
    {Field::document_url, "input_file.file_url"},
    {Field::video, "input_file"},
    {Field::file, "file_id"},
    {Field::tool_result_media, "function_call_output.output"},
    {Field::citations, "annotations"},
};

}  // namespace

Result<chat::Request> ResponsesCodec::read_request(std::string_view body) const { return read_responses_request(body); }

std::string ResponsesCodec::write_answer(const chat::Request& request, const chat::Answer& answer) const {
  ResponsesStreamWriter writer(request, ResponsesStreamWriter::Events::none);
  if (!answer.choices.empty()) writer.take_logprobs(answer.choices.front().logprobs);
  chat::replay(answer, writer);
  return writer.response();
}

std::unique_ptr<chat::StreamWriter> ResponsesCodec::stream_writer(const chat::Request& request) const {
  return std::make_unique<ResponsesStreamWriter>(request);
}

std::string ResponsesCodec::write_count(std::int64_t tokens) const {
  return fmt::format(R"({{"object":"response.input_tokens","input_tokens":{}}})", tokens);
}

std::string_view ResponsesCodec::field_name(Field field) const {
  for (const FieldName& row : kNames) {
    if (row.field == field) return row.name;
  }
  return chat::to_string(field);
}

std::string ResponsesCodec::write_error(const chat::ProviderError& error) const {
  auto text_or_null = [](const std::string& text) { return text.empty() ? json::Value() : json::Value(text); };
  json::Object inner{{"message", error.message},
                     {"type", error.type.empty() ? "server_error" : error.type},
                     {"param", text_or_null(error.param)},
                     {"code", text_or_null(error.code)}};
  return json::dump(json::Object{{"error", std::move(inner)}});
}

}  // namespace penstock::ext
