#include "ext/apis/anthropic/anthropic_codec.h"

#include "ext/apis/anthropic/answer_writer.h"
#include "ext/apis/anthropic/request_reader.h"
#include "ext/apis/anthropic/stream_writer.h"

namespace penstock::ext::anthropic {

Result<chat::Request> AnthropicCodec::read_request(std::string_view body) const {
  return read_messages_request(body, operation_ == chat::Operation::count_tokens);
}

std::string AnthropicCodec::write_answer(const chat::Request& request, const chat::Answer& answer) const {
  return write_message(request, answer);
}

std::unique_ptr<chat::StreamWriter> AnthropicCodec::stream_writer(const chat::Request& request) const {
  return std::make_unique<MessagesStreamWriter>(request);
}

std::string AnthropicCodec::write_count(std::int64_t tokens) const {
  return fmt::format(R"({{"input_tokens":{}}})", tokens);
}

std::string_view AnthropicCodec::field_name(chat::Field field) const {
  using chat::Field;
  switch (field) {
    case Field::max_output_tokens: return "max_tokens";
    case Field::stop: return "stop_sequences";
    case Field::user: return "metadata.user_id";
    case Field::parallel_tool_calls: return "tool_choice.disable_parallel_tool_use";
    case Field::tool_strict: return "tools.strict";
    case Field::response_format: return "output_config.format";
    case Field::reasoning: return "thinking";
    case Field::thinking: return "messages.content.thinking";
    case Field::image_url: return "image.source.url";
    case Field::document_url: return "document.source.url";
    case Field::file: return "source.file_id";
    case Field::tool_result_media: return "tool_result.content";
    case Field::tool_result_error: return "tool_result.is_error";
    default: return chat::to_string(field);
  }
}

std::string AnthropicCodec::write_error(const chat::ProviderError& error) const {
  return write_error_body(error_type_of(error.status), error.message, error.request_id);
}

}  // namespace penstock::ext::anthropic
