#include "ext/apis/ollama/message_reader.h"

#include <fmt/format.h>

#include "chat/data_url.h"
#include "chat/turns.h"

namespace penstock::ext {
namespace {

std::optional<chat::Role> role_of(std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (name == "system") return chat::Role::system;
  if (name == "developer") return chat::Role::developer;
  if (name == "user") return chat::Role::user;
  if (name == "assistant") return chat::Role::assistant;
  if (name == "tool") return chat::Role::tool;
  return std::nullopt;
}

bool is_base64(std::string_view text) {
  std::size_t end = text.find_last_not_of('=');
  auto plain = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  return end != std::string_view::npos && text.size() - end <= 3 && std::ranges::all_of(text.substr(0, end + 1), plain);
}

void read_call(const json::Value& value, std::string path, ObjectReader::Findings& findings,
               std::vector<chat::Part>& parts) {
  ObjectReader in(value, std::move(path), findings);
  chat::ToolCall call;
  call.id = in.text("id");
  (void)in.get("type");
  if (const json::Value* function = in.get("function")) {
    ObjectReader inner(*function, in.path("function."), findings);
    (void)inner.get("index");  // their order says the same
    call.name = inner.text("name");
    if (call.name.empty()) inner.mistake("name", "must be the name of a tool");
    const json::Value* arguments = inner.get("arguments");
    if (arguments != nullptr && !arguments->is_object()) inner.mistake("arguments", "must be an object");
    call.arguments = arguments == nullptr ? "{}" : json::dump(*arguments);
    inner.done();
  } else {
    in.mistake("function", "must be an object");
  }
  in.done();
  parts.push_back({.content = std::move(call)});
}

// One message's own: what stands in it besides its role.
struct Contents {
  std::string text;
  std::string thinking;
  std::vector<chat::Media> images;
};

void add_result(ObjectReader& in, Contents contents, chat::Message& message) {
  chat::ToolResult result;
  result.id = in.text("tool_call_id");
  result.name = in.text("tool_name");
  if (!contents.text.empty()) result.content.emplace_back(chat::Text{std::move(contents.text)});
  for (auto& image : contents.images) result.content.emplace_back(std::move(image));
  message.parts.push_back({.content = std::move(result)});
}

void add_parts(ObjectReader& in, Contents contents, chat::Message& message) {
  if (!contents.thinking.empty()) message.parts.push_back({.content = chat::Thinking{std::move(contents.thinking)}});
  if (!contents.text.empty()) message.parts.push_back({.content = chat::Text{std::move(contents.text)}});
  for (auto& image : contents.images) message.parts.push_back({.content = std::move(image)});
  const json::Array* calls = in.list("tool_calls");
  for (std::size_t i = 0; calls != nullptr && i < calls->size(); ++i)
    read_call((*calls)[i], in.path(fmt::format("tool_calls[{}].", i)), in.findings(), message.parts);
}

chat::Message read_message(const json::Value& value, std::string path, ObjectReader::Findings& findings) {
  ObjectReader in(value, std::move(path), findings);
  chat::Message message;
  auto role = role_of(in.text("role"));
  if (!role) in.mistake("role", "must be system, user, assistant or tool");
  message.role = role.value_or(chat::Role::user);
  Contents contents{.text = in.text("content"), .thinking = {}, .images = {}};
  read_ollama_images(in, contents.images);
  if (message.role == chat::Role::assistant) contents.thinking = in.text("thinking");
  if (message.role == chat::Role::tool) {
    add_result(in, std::move(contents), message);
  } else {
    add_parts(in, std::move(contents), message);
  }
  in.done();
  return message;
}

// A result that answers no call makes sense to nobody.
void check_results(ObjectReader& body, const std::vector<chat::Message>& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    for (const chat::Part& part : messages[i].parts) {
      const auto* result = std::get_if<chat::ToolResult>(&part.content);
      if (result != nullptr && result->id.empty())
        body.mistake(fmt::format("messages[{}]", i), "is the result of a tool that no message before it calls");
    }
  }
}

}  // namespace

void read_ollama_images(ObjectReader& in, std::vector<chat::Media>& images) {
  for (std::string& data : in.texts("images")) {
    if (!is_base64(data)) {
      in.mistake(fmt::format("images[{}]", images.size()), "must be base64, without a header or line ends");
      return;
    }
    chat::Media image;
    image.type = chat::sniff_media_type(data);
    image.data = std::move(data);
    images.push_back(std::move(image));
  }
}

void read_ollama_messages(ObjectReader& body, std::vector<chat::Message>& messages) {
  const json::Array* all = body.list("messages");
  if (all == nullptr || all->empty()) {
    body.mistake("messages", "must be a list with at least one message");
    return;
  }
  messages.reserve(all->size());
  for (std::size_t i = 0; i < all->size(); ++i)
    messages.push_back(read_message((*all)[i], body.path(fmt::format("messages[{}].", i)), body.findings()));
  chat::tie_calls(messages);
  check_results(body, messages);
}

void read_ollama_tools(ObjectReader& body, std::vector<chat::Tool>& tools) {
  const json::Array* all = body.list("tools");
  for (std::size_t i = 0; all != nullptr && i < all->size(); ++i) {
    ObjectReader in((*all)[i], body.path(fmt::format("tools[{}].", i)), body.findings());
    if (std::string type = in.text("type"); !type.empty() && type != "function") in.mistake("type", "must be function");
    const json::Value* function = in.get("function");
    if (function == nullptr) {
      in.mistake("function", "must be an object");
      continue;
    }
    ObjectReader inner(*function, in.path("function."), body.findings());
    chat::Tool tool;
    tool.name = inner.text("name");
    if (tool.name.empty()) inner.mistake("name", "must be the name of a tool");
    tool.description = inner.text("description");
    if (const json::Value* schema = inner.get("parameters")) {
      if (!schema->is_object()) inner.mistake("parameters", "must be an object");
      tool.schema = *schema;
    }
    inner.done();
    in.done();
    tools.push_back(std::move(tool));
  }
}

}  // namespace penstock::ext
