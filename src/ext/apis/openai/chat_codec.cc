#include "ext/apis/openai/chat_codec.h"

#include "ext/apis/openai/chat_stream_writer.h"
#include "ext/apis/openai/chat_writer.h"
#include "ext/apis/openai/error_body.h"
#include "ext/apis/openai/field_names.h"
#include "ext/apis/openai/request_reader.h"

namespace penstock::ext {

Result<chat::Request> OpenAiChatCodec::read_request(std::string_view body) const { return read_openai_chat(body); }

std::string OpenAiChatCodec::write_answer(const chat::Request& request, const chat::Answer& answer) const {
  return write_openai_chat(request, answer);
}

std::unique_ptr<chat::StreamWriter> OpenAiChatCodec::stream_writer(const chat::Request& request) const {
  return std::make_unique<OpenAiChatStreamWriter>(request);
}

std::string_view OpenAiChatCodec::field_name(chat::Field field) const { return openai_field_name(field); }

std::string OpenAiChatCodec::write_error(const chat::ProviderError& error) const { return openai_error_body(error); }

}  // namespace penstock::ext
