#include "llm/estimate.h"

namespace penstock::llm {
namespace {

std::int64_t tokens_of(const chat::Text& text) { return estimate_tokens(text.text.size()); }

std::int64_t tokens_of(const chat::Media& media) {
  auto bytes = static_cast<std::int64_t>(media.data.size());
  switch (media.kind) {
    case chat::Media::Kind::image: return 1000;
    case chat::Media::Kind::document:
      return media.type == "text/plain" ? estimate_tokens(media.data.size()) : 1500 * (1 + bytes / 30000);
    case chat::Media::Kind::audio: return 32 * (1 + bytes / 16000);
    case chat::Media::Kind::video: return 300 * (1 + bytes / 300000);
  }
  return 0;
}

std::int64_t tokens_of(const chat::Thinking& thinking) { return estimate_tokens(thinking.text.size()); }
std::int64_t tokens_of(const chat::ToolCall& call) { return estimate_tokens(call.name.size() + call.arguments.size()); }
std::int64_t tokens_of(const chat::Refusal& refusal) { return estimate_tokens(refusal.text.size()); }

std::int64_t tokens_of(const chat::ToolResult& result) {
  std::int64_t sum = 0;
  for (const auto& part : result.content) sum += std::visit([](const auto& one) { return tokens_of(one); }, part);
  return sum;
}

}  // namespace

std::int64_t estimate_tokens(const chat::Request& request) {
  std::int64_t sum = 3;
  for (const chat::Message& message : request.messages) {
    sum += 4;
    for (const chat::Part& part : message.parts)
      sum += std::visit([](const auto& one) { return tokens_of(one); }, part.content);
  }
  for (const chat::Tool& tool : request.tools)
    sum += estimate_tokens(tool.name.size() + tool.description.size() + json::dump(tool.schema).size());
  return sum;
}

std::int64_t estimate_tokens(const chat::Answer& answer) {
  std::int64_t sum = 0;
  for (const chat::Choice& choice : answer.choices) {
    for (const chat::Part& part : choice.parts)
      sum += std::visit([](const auto& one) { return tokens_of(one); }, part.content);
  }
  return sum;
}

}  // namespace penstock::llm
