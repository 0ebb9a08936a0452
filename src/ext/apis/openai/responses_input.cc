#include "ext/apis/openai/responses_input.h"

#include "chat/data_url.h"
#include "chat/signature.h"
#include "ext/apis/openai/call_arguments.h"
#include "ext/apis/openai/responses_content.h"

namespace penstock::ext {
namespace {

using chat::Role;

constexpr std::pair<std::string_view, Role> kRoles[] = {
    {"user", Role::user}, {"assistant", Role::assistant}, {"system", Role::system}, {"developer", Role::developer}};

std::string required(OpenAiObject& item, std::string_view name) {
  if (item.string(name).empty()) item.fail(name, "must be a string that is not empty");
  return std::string(item.string(name));
}

// The texts of a list, with an empty line between them; nothing for an empty list.
std::optional<std::string> joined(OpenAiObject& item, std::string_view name) {
  const json::Array* list = item.list(name);
  if (list == nullptr || list->empty()) return std::nullopt;
  std::string text;
  for (std::size_t i = 0; i < list->size(); ++i) {
    OpenAiObject part((*list)[i], item.at(name, i), item.reading());
    part.skip("type");
    if (i > 0) text += "\n\n";
    text += part.string("text");
  }
  return text;
}

}  // namespace

void ResponsesInput::read(const json::Array& items, OpenAiObject& owner, std::string_view name) {
  for (std::size_t i = 0; i < items.size() && !owner.reading().mistake; ++i)
    read_item(items[i], owner.at(name, i), owner.reading());
  flush_seal();
}

void ResponsesInput::read_item(const json::Value& value, const OpenAiPlace& place, OpenAiReading& reading) {
  using Read = void (ResponsesInput::*)(OpenAiObject&);
  constexpr std::pair<std::string_view, Read> kItems[] = {
      {"message", &ResponsesInput::read_message},
      {"reasoning", &ResponsesInput::read_reasoning},
      {"function_call", &ResponsesInput::read_call},
      {"function_call_output", &ResponsesInput::read_call_output},
      {"image_generation_call", &ResponsesInput::read_generated_image},
      {"item_reference", &ResponsesInput::refuse_reference},
  };
  std::string_view fallback = json::find(value, "role") != nullptr ? "message" : "item_reference";
  std::string_view type = json::string_or(value, "type", fallback);
  for (const auto& [name, read] : kItems) {
    if (name != type) continue;
    OpenAiObject item(value, place, reading);
    // Of an item that came with an earlier answer.
    for (std::string_view known : {"type", "id", "status"}) item.skip(known);
    (this->*read)(item);
    return;
  }
  reading.leave_unread(place);
}

// A seal with no call behind it is of a hidden thought.
void ResponsesInput::flush_seal() {
  if (seal_.empty()) return;
  chat::Thinking thinking{{}, std::exchange(seal_, {}), true};
  last_of(Role::assistant).parts.push_back({.content = std::move(thinking)});
}

chat::Message& ResponsesInput::last_of(Role role) {
  if (messages_.empty() || messages_.back().role != role) messages_.push_back({.role = role});
  return messages_.back();
}

void ResponsesInput::refuse_reference(OpenAiObject& item) {
  item.fail("id",
            fmt::format("no stored item has the id '{}'; give the item itself", item.string("id").substr(0, 100)));
}

void ResponsesInput::read_message(OpenAiObject& item) {
  flush_seal();
  std::string_view name = item.string("role");
  for (const auto& [known, role] : kRoles) {
    if (known != name) continue;
    std::vector<chat::Part> parts = read_responses_content(item, "content");
    if (role != Role::assistant) {
      messages_.push_back({role, std::move(parts)});
      return;
    }
    auto& said = last_of(role).parts;
    said.insert(said.end(), std::move_iterator(parts.begin()), std::move_iterator(parts.end()));
    return;
  }
  item.fail("role", "must be user, assistant, system or developer");
}

// What was thought, and its seal. Without any text it is hidden (Anthropic's seal says so itself); when it is Gemini's
// and a call follows, it seals that call.
void ResponsesInput::read_reasoning(OpenAiObject& item) {
  flush_seal();
  std::optional<std::string> summary = joined(item, "summary");
  std::optional<std::string> content = joined(item, "content");
  std::string_view sealed = item.string("encrypted_content");
  chat::Thinking thinking;
  if (!sealed.empty()) thinking.signature = chat::read_signature(sealed, chat::Family::openai);
  if (!summary && !content) {
    if (thinking.signature.family == chat::Family::gemini) {
      seal_ = std::move(thinking.signature);
      return;
    }
    if (thinking.signature.empty()) return;
    thinking.redacted = thinking.signature.family != chat::Family::anthropic || chat::marks_redacted(sealed);
  } else {
    thinking.text = content ? std::move(*content) : std::move(*summary);
  }
  last_of(Role::assistant).parts.push_back({.content = std::move(thinking)});
}

void ResponsesInput::read_call(OpenAiObject& item) {
  chat::ToolCall call;
  call.id = required(item, "call_id");
  call.name = required(item, "name");
  call.arguments = read_call_arguments(item.string("arguments"));
  call.signature = std::exchange(seal_, {});
  last_of(Role::assistant).parts.push_back({.content = std::move(call)});
}

// What it was made with was the answer's affair.
void ResponsesInput::read_generated_image(OpenAiObject& item) {
  flush_seal();
  for (std::string_view known : {"action", "background", "output_format", "quality", "revised_prompt", "size"})
    item.skip(known);
  chat::Media image;
  image.data = item.string("result");
  if (image.data.empty()) return;
  image.type = chat::sniff_media_type(image.data);
  last_of(Role::assistant).parts.push_back({.content = std::move(image)});
}

void ResponsesInput::read_call_output(OpenAiObject& item) {
  flush_seal();
  chat::ToolResult result{required(item, "call_id"), std::string(item.string("name"))};
  for (chat::Part& part : read_responses_content(item, "output")) {
    if (auto* text = std::get_if<chat::Text>(&part.content)) result.content.emplace_back(std::move(*text));
    if (auto* media = std::get_if<chat::Media>(&part.content)) result.content.emplace_back(std::move(*media));
  }
  last_of(Role::tool).parts.push_back({.content = std::move(result)});
}

}  // namespace penstock::ext
