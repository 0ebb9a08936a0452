#include "ext/apis/openai/field_names.h"

namespace penstock::ext {

std::string_view openai_field_name(chat::Field field) {
  using chat::Field;
  switch (field) {
    case Field::max_output_tokens: return "max_completion_tokens";
    case Field::repeat_penalty: return "repetition_penalty";
    case Field::tool_strict: return "tools.function.strict";
    case Field::reasoning: return "reasoning_effort";
    case Field::thinking: return "reasoning_content";
    case Field::message_name: return "messages.name";
    case Field::image_detail: return "image_url.detail";
    case Field::audio: return "input_audio";
    case Field::audio_output: return "modalities";
    case Field::file: return "file.file_id";
    case Field::video: return "video_url";
    default: return chat::to_string(field);
  }
}

}  // namespace penstock::ext
