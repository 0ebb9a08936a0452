#include "token/chat_count.h"

#include "token/function_text.h"

namespace penstock::token {
namespace {

using chat::Role;

struct AddPart {
  Tally& tally;

  void operator()(const chat::Text& part) const { tally.text(part.text); }
  void operator()(const chat::Media& part) const { tally.media(part); }
  void operator()(const chat::Thinking& part) const { tally.text(part.text); }
  void operator()(const chat::ToolCall& part) const { tally.call(part.name, part.arguments); }
  void operator()(const chat::Refusal& part) const { tally.text(part.text); }
  void operator()(const chat::ToolResult& part) const {
    for (const auto& content : part.content) std::visit(*this, content);
  }
};

// The last text of instructions before functions ends in a line break.
void add_instructions(const chat::Message& message, Tally& tally) {
  for (const chat::Part& part : message.parts) {
    const auto* text = std::get_if<chat::Text>(&part.content);
    bool ends = &part == &message.parts.back() && text != nullptr && !text->text.empty() && !text->text.ends_with('\n');
    if (ends) {
      tally.text(text->text + '\n');
    } else {
      std::visit(AddPart{tally}, part.content);
    }
  }
}

// OpenAI's role `function`, which has no ids, and a name.
void add_legacy_result(const chat::ToolResult& result, Tally& tally) {
  tally.name(result.name);
  tally.tokens(Tally::kLegacyResult);
}

InputSize walk(const chat::Request& request, const Encoding* encoding, std::string_view model) {
  Tally tally(encoding, model);
  bool first = true;
  for (const chat::Message& message : request.messages) add_message(message, !request.tools.empty(), first, tally);
  add_settings(request, !first, tally);
  return tally.size();
}

}  // namespace

void add_message(const chat::Message& message, bool tools, bool& first, Tally& tally) {
  bool padded = tools && first && message.role == Role::system;
  if (message.role == Role::system) first = false;
  if (message.role != Role::tool || message.parts.empty()) tally.message();
  if (!message.name.empty()) tally.name(message.name);
  if (padded) return add_instructions(message, tally);
  for (const chat::Part& part : message.parts) {
    const auto* result = std::get_if<chat::ToolResult>(&part.content);
    if (result != nullptr) {
      tally.message();  // where dialects put several results into one message, OpenAI has one each
      if (result->id.empty() && !result->name.empty()) add_legacy_result(*result, tally);
    }
    std::visit(AddPart{tally}, part.content);
  }
}

void add_settings(const chat::Request& request, bool instructed, Tally& tally) {
  using Mode = chat::ToolChoice::Mode;
  tally.tokens(Tally::kPriming);
  if (!request.tools.empty()) {
    tally.text(write_function_text(request.tools));
    tally.tokens(Tally::kFunctions + (instructed ? Tally::kBesideInstructions : 0));
  }
  if (request.tool_choice.mode == Mode::none) tally.tokens(Tally::kChoiceOfNone);
  if (request.tool_choice.mode == Mode::one) {
    tally.text(request.tool_choice.name);
    tally.tokens(Tally::kChoiceOfOne);
  }
  if (request.format.kind == chat::OutputFormat::Kind::schema) {
    tally.text(request.format.name);
    tally.text(request.format.description);
    if (!request.format.schema.is_null()) tally.text(json::dump(request.format.schema));
  }
}

std::int64_t count(const chat::Request& request, const Encoding& encoding, std::string_view model) {
  return walk(request, &encoding, model).tokens;
}

InputSize measure(const chat::Request& request, std::string_view model) { return walk(request, nullptr, model); }

std::int64_t count(const chat::Message& message, const Encoding& encoding, std::string_view model) {
  Tally tally(&encoding, model);
  bool first = true;
  add_message(message, false, first, tally);
  return tally.size().tokens;
}

}  // namespace penstock::token
