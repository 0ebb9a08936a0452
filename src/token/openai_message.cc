#include "token/openai_message.h"

#include "chat/base64.h"
#include "chat/data_url.h"

namespace penstock::token {
namespace {

using chat::Media;
using chat::Role;

std::string text_of(const json::Value& owner, std::string_view key) {
  return std::string(json::string_or(owner, key, ""));
}

const json::Array* list_of(const json::Value& owner, std::string_view key) {
  const json::Value* list = json::find(owner, key);
  return list != nullptr && list->is_array() ? &list->get_array() : nullptr;
}

const json::Value* object_of(const json::Value& owner, std::string_view key) {
  const json::Value* object = json::find(owner, key);
  return object != nullptr && object->is_object() ? object : nullptr;
}

// What only the provider understands.
void add_unknown(const json::Value& value, chat::Message& message, bool& known) {
  message.parts.push_back({.content = chat::Text{json::dump(value)}});
  known = false;
}

void take_data(std::string_view said, Media& media) {
  auto url = chat::read_data_url(said);
  media.data = url ? url->data : said;
  if (url) media.type = url->type;
}

Media read_file(const json::Value& file) {
  Media media{.kind = Media::Kind::document};
  take_data(json::string_or(file, "file_data", ""), media);
  if (media.type.starts_with("image/")) media.kind = Media::Kind::image;
  if (media.type.starts_with("audio/")) media.kind = Media::Kind::audio;
  if (media.type.starts_with("video/")) media.kind = Media::Kind::video;
  if (media.type != "text/plain") return media;
  media.data = chat::read_base64(media.data).value_or(std::move(media.data));
  return media;
}

Media read_visual(std::string_view type, std::string_view url, std::string detail) {
  Media media{.kind = type == "image_url" ? Media::Kind::image : Media::Kind::video};
  if (url.starts_with("data:")) take_data(url, media);
  media.detail = std::move(detail);
  return media;
}

void add_part(const json::Value& value, chat::Message& message, bool& known) {
  std::string_view type = json::string_or(value, "type", "");
  if (type == "text") {
    message.parts.push_back({.content = chat::Text{text_of(value, "text")}});
  } else if (type == "refusal") {
    message.parts.push_back({.content = chat::Refusal{text_of(value, "refusal")}});
  } else if (const json::Value* visual = object_of(value, type); visual != nullptr && type.ends_with("_url")) {
    message.parts.push_back(
        {.content = read_visual(type, json::string_or(*visual, "url", ""), text_of(*visual, "detail"))});
  } else if (type == "image_url" || type == "video_url") {
    message.parts.push_back({.content = read_visual(type, json::string_or(value, type, ""), {})});
    known = false;
  } else if (const json::Value* sound = object_of(value, "input_audio")) {
    Media media{.kind = Media::Kind::audio, .type = "audio/" + text_of(*sound, "format")};
    media.data = text_of(*sound, "data");
    message.parts.push_back({.content = std::move(media)});
  } else if (const json::Value* file = object_of(value, "file")) {
    message.parts.push_back({.content = read_file(*file)});
  } else {
    add_unknown(value, message, known);
  }
}

void add_content(const json::Value& owner, std::string_view key, chat::Message& message, bool& known) {
  const json::Value* content = json::find(owner, key);
  if (content == nullptr || content->is_null()) return;
  if (content->is_string()) {
    message.parts.push_back({.content = chat::Text{text_of(owner, key)}});
  } else if (content->is_array()) {
    for (const json::Value& part : content->get_array()) add_part(part, message, known);
  } else {
    add_unknown(*content, message, known);
  }
}

void add_call(const json::Value& function, chat::Message& message) {
  const json::Value* arguments = json::find(function, "arguments");
  std::string text =
      arguments != nullptr && arguments->is_object() ? json::dump(*arguments) : text_of(function, "arguments");
  message.parts.push_back({.content = chat::ToolCall{.id = {}, .name = text_of(function, "name"), .arguments = text}});
}

void add_thoughts(const json::Value& value, chat::Message& message) {
  if (const json::Array* blocks = list_of(value, "thinking_blocks"); blocks != nullptr && !blocks->empty()) {
    for (const json::Value& block : *blocks)
      message.parts.push_back({.content = chat::Thinking{text_of(block, "thinking")}});
    return;
  }
  std::string text = text_of(value, "reasoning_content");
  if (text.empty()) text = text_of(value, "reasoning");
  if (!text.empty()) message.parts.push_back({.content = chat::Thinking{std::move(text)}});
}

void read_assistant(const json::Value& value, chat::Message& message, bool& known) {
  add_thoughts(value, message);
  add_content(value, "content", message, known);
  if (std::string refusal = text_of(value, "refusal"); !refusal.empty())
    message.parts.push_back({.content = chat::Refusal{std::move(refusal)}});
  add_content(value, "images", message, known);
  if (const json::Array* calls = list_of(value, "tool_calls")) {
    for (const json::Value& call : *calls) {
      if (const json::Value* function = object_of(call, "function")) {
        add_call(*function, message);
      } else {
        add_unknown(call, message, known);
      }
    }
  }
  if (const json::Value* function = object_of(value, "function_call")) add_call(*function, message);
}

void read_result(const json::Value& value, chat::Message& message, bool& known) {
  chat::Message content;
  add_content(value, "content", content, known);
  chat::ToolResult result{.id = text_of(value, "tool_call_id"), .name = {}};
  if (json::string_or(value, "role", "") == "function") result.name = text_of(value, "name");
  for (chat::Part& part : content.parts) {
    if (auto* text = std::get_if<chat::Text>(&part.content)) result.content.emplace_back(std::move(*text));
    if (auto* media = std::get_if<Media>(&part.content)) result.content.emplace_back(std::move(*media));
  }
  message.parts.push_back({.content = std::move(result)});
}

// Custom tools, and those of dialects that write a function flat: as a function that is described by its JSON text.
chat::Tool read_unknown_tool(const json::Value& tool) {
  return {.name = text_of(tool, "name"), .description = json::dump(tool)};
}

chat::Tool read_function(const json::Value& function) {
  chat::Tool tool{.name = text_of(function, "name"), .description = text_of(function, "description")};
  if (const json::Value* schema = object_of(function, "parameters")) tool.schema = *schema;
  return tool;
}

void read_choice(const json::Value& body, chat::ToolChoice& choice) {
  using Mode = chat::ToolChoice::Mode;
  for (std::string_view key : {"tool_choice", "function_call"}) {
    const json::Value* said = json::find(body, key);
    if (said == nullptr || said->is_null() || choice.mode != Mode::unset) continue;
    choice.mode = said->is_object()                          ? Mode::one
                  : json::string_or(body, key, "") == "none" ? Mode::none
                                                             : Mode::automatic;
    if (!said->is_object()) continue;
    const json::Value* function = object_of(*said, "function");
    choice.name = text_of(function != nullptr ? *function : *said, "name");
    if (choice.name.empty()) choice.mode = Mode::automatic;  // allowed_tools
  }
}

}  // namespace

chat::Message read_openai_message(const json::Value& value, bool* known) {
  bool unasked = true;
  if (known == nullptr) known = &unasked;
  chat::Message message;
  std::string_view role = json::string_or(value, "role", "");
  if (role == "tool" || role == "function") {
    message.role = Role::tool;
    read_result(value, message, *known);
    return message;
  }
  message.name = text_of(value, "name");
  if (role == "assistant") {
    message.role = Role::assistant;
    read_assistant(value, message, *known);
    return message;
  }
  message.role = role == "system" ? Role::system : role == "developer" ? Role::developer : Role::user;
  add_content(value, "content", message, *known);
  return message;
}

void read_openai_settings(const json::Value& body, chat::Request& request, bool* known) {
  if (const json::Array* tools = list_of(body, "tools")) {
    for (const json::Value& tool : *tools) {
      const json::Value* function = object_of(tool, "function");
      request.tools.push_back(function != nullptr ? read_function(*function) : read_unknown_tool(tool));
      if (function == nullptr && known != nullptr) *known = false;
    }
  }
  if (const json::Array* functions = list_of(body, "functions")) {
    for (const json::Value& function : *functions) request.tools.push_back(read_function(function));
  }
  read_choice(body, request.tool_choice);
  const json::Value* format = object_of(body, "response_format");
  const json::Value* named = format != nullptr ? object_of(*format, "json_schema") : nullptr;
  if (format != nullptr && json::find(*format, "grammar") != nullptr) {
    request.format = {.kind = chat::OutputFormat::Kind::schema, .description = json::dump(*format)};
    if (known != nullptr) *known = false;
  }
  if (named == nullptr) return;
  request.format = {.kind = chat::OutputFormat::Kind::schema,
                    .name = text_of(*named, "name"),
                    .description = text_of(*named, "description")};
  if (const json::Value* schema = object_of(*named, "schema")) request.format.schema = *schema;
}

}  // namespace penstock::token
