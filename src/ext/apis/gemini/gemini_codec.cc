#include "ext/apis/gemini/gemini_codec.h"

#include "base/text.h"
#include "ext/apis/gemini/request_reader.h"
#include "ext/apis/gemini/response_writer.h"
#include "ext/apis/gemini/status_name.h"

namespace penstock::ext {
namespace {

class GeminiCodec : public chat::ClientCodec {
 public:
  GeminiCodec(chat::Operation operation, llm::Framing framing) : operation_(operation), framing_(framing) {}

  chat::Family family() const override { return chat::Family::gemini; }
  chat::Operation operation() const override { return operation_; }
  Result<chat::Request> read_request(std::string_view body) const override {
    return operation_ == chat::Operation::count_tokens ? read_count(body) : read_generate(body);
  }
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override {
    return write_response(request, answer);
  }
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override {
    return response_stream(request, framing_);
  }
  std::string write_count(std::int64_t tokens) const override {
    std::string out;
    base::append(out, R"({"totalTokens":)", base::Digits(tokens), "}");
    return out;
  }
  std::string_view field_name(chat::Field field) const override { return gemini_field_name(field); }
  std::string write_error(const chat::ProviderError& error) const override {
    return error_json(error.status, error.message);
  }

 private:
  chat::Operation operation_;
  llm::Framing framing_;
};

}  // namespace

std::shared_ptr<const chat::ClientCodec> gemini_chat_codec(llm::Framing framing) {
  return std::make_shared<const GeminiCodec>(chat::Operation::chat, framing);
}

std::shared_ptr<const chat::ClientCodec> gemini_count_codec() {
  return std::make_shared<const GeminiCodec>(chat::Operation::count_tokens, llm::Framing::events);
}

std::string_view gemini_field_name(chat::Field field) {
  using chat::Field;
  switch (field) {
    case Field::max_output_tokens: return "generationConfig.maxOutputTokens";
    case Field::temperature: return "generationConfig.temperature";
    case Field::top_p: return "generationConfig.topP";
    case Field::top_k: return "generationConfig.topK";
    case Field::frequency_penalty: return "generationConfig.frequencyPenalty";
    case Field::presence_penalty: return "generationConfig.presencePenalty";
    case Field::seed: return "generationConfig.seed";
    case Field::n: return "generationConfig.candidateCount";
    case Field::stop: return "generationConfig.stopSequences";
    case Field::logprobs: return "generationConfig.responseLogprobs";
    case Field::service_tier: return "serviceTier";
    case Field::metadata: return "labels";
    case Field::tool_choice: return "toolConfig.functionCallingConfig";
    case Field::response_format: return "generationConfig.responseJsonSchema";
    case Field::reasoning: return "generationConfig.thinkingConfig";
    case Field::thinking: return "thoughtSignature";
    case Field::task: return "taskType";
    case Field::image:
    case Field::audio:
    case Field::video:
    case Field::document: return "inlineData";
    case Field::image_url:
    case Field::document_url:
    case Field::file: return "fileData";
    case Field::audio_output: return "generationConfig.responseModalities";
    case Field::tool_result_media: return "functionResponse.parts";
    case Field::tool_result_error: return "functionResponse.response.error";
    case Field::citations: return "citationMetadata";
    case Field::safety_settings: return "safetySettings";
    case Field::cached_content: return "cachedContent";
    default: return to_string(field);
  }
}

}  // namespace penstock::ext
