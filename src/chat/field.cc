#include "chat/field.h"

namespace penstock::chat {

std::vector<Field> Dropped::list() const {
  std::vector<Field> fields;
  for (std::size_t i = 0; i < kFields; ++i) {
    if (fields_.test(i)) fields.push_back(static_cast<Field>(i));
  }
  return fields;
}

std::string_view to_string(Field field) {
  switch (field) {
    case Field::max_output_tokens: return "max_output_tokens";
    case Field::temperature: return "temperature";
    case Field::top_p: return "top_p";
    case Field::top_k: return "top_k";
    case Field::min_p: return "min_p";
    case Field::frequency_penalty: return "frequency_penalty";
    case Field::presence_penalty: return "presence_penalty";
    case Field::repeat_penalty: return "repeat_penalty";
    case Field::logit_bias: return "logit_bias";
    case Field::seed: return "seed";
    case Field::n: return "n";
    case Field::stop: return "stop";
    case Field::logprobs: return "logprobs";
    case Field::service_tier: return "service_tier";
    case Field::user: return "user";
    case Field::metadata: return "metadata";
    case Field::store: return "store";
    case Field::tools: return "tools";
    case Field::tool_choice: return "tool_choice";
    case Field::parallel_tool_calls: return "parallel_tool_calls";
    case Field::tool_strict: return "tool_strict";
    case Field::response_format: return "response_format";
    case Field::reasoning: return "reasoning";
    case Field::verbosity: return "verbosity";
    case Field::thinking: return "thinking";
    case Field::cache_control: return "cache_control";
    case Field::message_name: return "message_name";
    case Field::image: return "image";
    case Field::image_url: return "image_url";
    case Field::image_detail: return "image_detail";
    case Field::audio: return "audio";
    case Field::audio_output: return "audio_output";
    case Field::document: return "document";
    case Field::document_url: return "document_url";
    case Field::video: return "video";
    case Field::file: return "file";
    case Field::tool_result_media: return "tool_result_media";
    case Field::tool_result_error: return "tool_result_error";
    case Field::refusal: return "refusal";
    case Field::citations: return "citations";
    case Field::prediction: return "prediction";
    case Field::keep_alive: return "keep_alive";
    case Field::context: return "context";
    case Field::safety_settings: return "safety_settings";
    case Field::cached_content: return "cached_content";
    case Field::task: return "task";
    case Field::title: return "title";
  }
  return "";
}

}  // namespace penstock::chat
