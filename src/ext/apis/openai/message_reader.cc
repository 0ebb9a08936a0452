#include "ext/apis/openai/message_reader.h"

#include <iterator>
#include <set>

#include "chat/signature.h"
#include "chat/turns.h"
#include "ext/apis/openai/call_arguments.h"
#include "ext/apis/openai/content_reader.h"

namespace penstock::ext {
namespace {

using chat::Role;

// Ids of calls that were left out: so are their results.
using CustomCalls = std::set<std::string, std::less<>>;

std::string_view view(const boost::json::string& text) { return {text.data(), text.size()}; }

template <class T>
bool holds(const chat::Part& part) {
  return std::holds_alternative<T>(part.content);
}

std::string read_arguments(OpenAiObject& function) {
  const json::Value* value = function.take("arguments");
  if (value == nullptr) return "{}";
  if (value->is_object()) return json::dump(*value);
  if (!value->is_string()) {
    function.fail("arguments", "must be a string");
    return {};
  }
  return read_call_arguments(view(value->get_string()));
}

void read_function(const json::Value& value, OpenAiPlace place, OpenAiReading& reading, chat::ToolCall& call) {
  OpenAiObject function(value, place, reading);
  call.name = function.string("name");
  if (call.name.empty()) function.fail("name", "must be the name of a function");
  call.arguments = read_arguments(function);
}

// {"google": {"thought_signature": "..."}}, as Google's own API in this dialect has it.
chat::Signature read_call_signature(OpenAiObject& in) {
  const json::Value* extra = in.object("extra_content");
  if (extra == nullptr) return {};
  OpenAiObject content(*extra, in.at("extra_content"), in.reading());
  const json::Value* google = content.object("google");
  if (google == nullptr) return {};
  OpenAiObject inner(*google, content.at("google"), in.reading());
  std::string_view text = inner.string("thought_signature");
  return text.empty() ? chat::Signature{} : chat::read_signature(text, chat::Family::gemini);
}

void read_call(const json::Value& value, OpenAiPlace place, OpenAiReading& reading, CustomCalls& customs,
               chat::Message& message) {
  OpenAiObject in(value, place, reading);
  in.skip("index");  // what collects streams leaves it there
  std::string_view type = in.string("type");
  chat::ToolCall call{.id = std::string(in.string("id")), .name = {}, .arguments = {}};
  if (type == "custom") {
    in.unread("custom");
    customs.insert(call.id);
    return;
  }
  if (!type.empty() && type != "function") in.fail("type", "must be function");
  if (call.id.empty()) in.fail("id", "must be the id of the call");
  const json::Value* function = in.object("function");
  if (function == nullptr) {
    in.fail("function", "is missing");
    return;
  }
  read_function(*function, in.at("function"), reading, call);
  call.signature = read_call_signature(in);
  message.parts.push_back({.content = std::move(call)});
}

void read_thinking_block(const json::Value& value, OpenAiPlace place, OpenAiReading& reading, chat::Message& message) {
  OpenAiObject in(value, place, reading);
  std::string_view type = in.string("type");
  chat::Thinking thinking;
  thinking.redacted = type == "redacted_thinking";
  if (!thinking.redacted && type != "thinking") in.fail("type", "must be thinking or redacted_thinking");
  if (!thinking.redacted) thinking.text = in.string("thinking");
  std::string_view seal = in.string(thinking.redacted ? "data" : "signature");
  if (!seal.empty()) thinking.signature = chat::read_signature(seal, chat::Family::anthropic);
  message.parts.push_back({.content = std::move(thinking)});
}

// Sealed thoughts say all that `reasoning_content` says, so that this counts only without them.
void read_thoughts(OpenAiObject& in, chat::Message& message) {
  if (const json::Array* blocks = in.list("thinking_blocks")) {
    std::size_t index = 0;
    for (const json::Value& block : *blocks)
      read_thinking_block(block, in.at("thinking_blocks", index++), in.reading(), message);
  }
  std::string_view text = in.string("reasoning_content");
  std::string_view same = in.string("reasoning");
  if (text.empty()) text = same;
  if (message.parts.empty() && !text.empty()) message.parts.push_back({.content = chat::Thinking{std::string(text)}});
}

void append(std::vector<chat::Part> parts, chat::Message& message) {
  std::move(parts.begin(), parts.end(), std::back_inserter(message.parts));
}

void read_assistant(OpenAiObject& in, CustomCalls& customs, chat::Message& message) {
  read_thoughts(in, message);
  append(read_openai_content(in, "content"), message);
  if (std::string_view refusal = in.string("refusal"); !refusal.empty())
    message.parts.push_back({.content = chat::Refusal{std::string(refusal)}});
  if (in.take("images") != nullptr) append(read_openai_content(in, "images"), message);
  if (const json::Array* calls = in.list("tool_calls")) {
    std::size_t index = 0;
    for (const json::Value& call : *calls)
      read_call(call, in.at("tool_calls", index++), in.reading(), customs, message);
  }
  if (const json::Value* function = in.object("function_call")) {
    chat::ToolCall call;
    read_function(*function, in.at("function_call"), in.reading(), call);
    message.parts.push_back({.content = std::move(call)});
  }
  // What an answer said and what has no effect when it comes back.
  const json::Value* annotations = in.take("annotations");
  if (annotations != nullptr && (!annotations->is_array() || !annotations->get_array().empty()))
    in.unread("annotations");
}

// False when it answers a call that was left out.
bool read_result(OpenAiObject& in, bool legacy, const CustomCalls& customs, chat::Message& message) {
  chat::ToolResult result;
  if (legacy) {
    result.name = in.string("name");
    if (result.name.empty()) in.fail("name", "must be the name of the function");
  } else {
    result.id = in.string("tool_call_id");
    if (result.id.empty()) in.fail("tool_call_id", "must be the id of the call this answers");
    in.skip("name");
  }
  for (chat::Part& part : read_openai_content(in, "content")) {
    if (auto* text = std::get_if<chat::Text>(&part.content)) {
      result.content.emplace_back(std::move(*text));
    } else if (auto* media = std::get_if<chat::Media>(&part.content)) {
      result.content.emplace_back(std::move(*media));
    } else {
      in.fail("content", "a tool's result holds only text and media");
    }
  }
  bool answers_custom = !legacy && customs.contains(result.id);
  message.parts.push_back({.content = std::move(result)});
  return !answers_custom;
}

void read_plain(OpenAiObject& in, chat::Message& message) {
  append(read_openai_content(in, "content"), message);
  for (const chat::Part& part : message.parts) {
    if (holds<chat::Refusal>(part)) in.fail("content", "only an assistant refuses");
    if (message.role != Role::user && !holds<chat::Text>(part)) in.fail("content", "instructions are text only");
  }
}

std::optional<Role> role_of(std::string_view name) {
  struct Row {
    std::string_view name;
    Role role;
  };
  constexpr Row kRows[] = {{"system", Role::system},       {"developer", Role::developer}, {"user", Role::user},
                           {"assistant", Role::assistant}, {"tool", Role::tool},           {"function", Role::tool}};
  for (const Row& row : kRows) {
    if (row.name == name) return row.role;
  }
  return std::nullopt;
}

void read_message(const json::Value& value, OpenAiPlace place, OpenAiReading& reading, CustomCalls& customs,
                  std::vector<chat::Message>& messages) {
  OpenAiObject in(value, place, reading);
  std::string_view name = in.string("role");
  auto role = role_of(name);
  if (!role) {
    in.fail("role", "must be system, developer, user, assistant, tool or function");
    return;
  }
  chat::Message message{.role = *role};
  bool keep = true;
  if (*role == Role::tool) {
    keep = read_result(in, name == "function", customs, message);
  } else {
    message.name = in.string("name");
    if (*role == Role::assistant) {
      read_assistant(in, customs, message);
    } else {
      read_plain(in, message);
    }
  }
  if (auto cache = read_openai_cache(in); cache && !message.parts.empty()) message.parts.back().cache = cache;
  if (keep) {
    messages.push_back(std::move(message));
  } else {
    reading.leave_unread(place);
  }
}

}  // namespace

void read_openai_messages(OpenAiObject& top, std::vector<chat::Message>& messages) {
  const json::Array* list = top.list("messages");
  if (list == nullptr || list->empty()) {
    top.fail("messages", "must be a list of at least one message");
    return;
  }
  CustomCalls customs;
  std::size_t index = 0;
  for (const json::Value& value : *list)
    read_message(value, top.at("messages", index++), top.reading(), customs, messages);
  chat::tie_calls(messages);
}

}  // namespace penstock::ext
