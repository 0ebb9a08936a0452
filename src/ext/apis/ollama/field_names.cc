#include "ext/apis/ollama/field_names.h"

namespace penstock::ext {
namespace {

struct Name {
  chat::Field field;
  std::string_view name;
};

constexpr Name kNames[] = {
    {chat::Field::max_output_tokens, "options.num_predict"},
    {chat::Field::temperature, "options.temperature"},
    {chat::Field::top_p, "options.top_p"},
    {chat::Field::top_k, "options.top_k"},
    {chat::Field::min_p, "options.min_p"},
    {chat::Field::frequency_penalty, "options.frequency_penalty"},
    {chat::Field::presence_penalty, "options.presence_penalty"},
    {chat::Field::repeat_penalty, "options.repeat_penalty"},
    {chat::Field::seed, "options.seed"},
    {chat::Field::stop, "options.stop"},
    {chat::Field::response_format, "format"},
    {chat::Field::reasoning, "think"},
    {chat::Field::thinking, "messages.thinking"},
    {chat::Field::image, "messages.images"},
    {chat::Field::tool_result_media, "messages.images"},
};

}  // namespace

std::string_view ollama_field_name(chat::Field field) {
  for (const Name& entry : kNames) {
    if (entry.field == field) return entry.name;
  }
  return chat::to_string(field);
}

}  // namespace penstock::ext
