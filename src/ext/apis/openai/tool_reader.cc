#include "ext/apis/openai/tool_reader.h"

#include "ext/apis/openai/content_reader.h"

namespace penstock::ext {
namespace {

using Mode = chat::ToolChoice::Mode;

chat::Tool read_function(const json::Value& value, OpenAiPlace place, OpenAiReading& reading) {
  OpenAiObject in(value, place, reading);
  chat::Tool tool;
  tool.name = in.string("name");
  if (tool.name.empty()) in.fail("name", "must be the name of the function");
  tool.description = in.string("description");
  tool.strict = in.boolean("strict");
  if (const json::Value* schema = in.object("parameters")) tool.schema = *schema;
  return tool;
}

// The name in {"type": "function", "function": {"name": ...}}.
std::string read_name(OpenAiObject& in) {
  if (in.string("type") != "function") {
    in.fail("type", "only functions can be chosen");
    return {};
  }
  const json::Value* function = in.object("function");
  if (function == nullptr) {
    in.fail("function", "is missing");
    return {};
  }
  OpenAiObject named(*function, in.at("function"), in.reading());
  std::string name(named.string("name"));
  if (name.empty()) named.fail("name", "must be the name of a function");
  return name;
}

void read_tool(const json::Value& value, OpenAiPlace place, OpenAiReading& reading, chat::Request& request) {
  std::string_view type = json::string_or(value, "type", "function");
  if (value.is_object() && type != "function") {
    reading.leave_unread(place);
    return;
  }
  OpenAiObject in(value, place, reading);
  in.string("type");
  const json::Value* function = in.object("function");
  if (function == nullptr) return in.fail("function", "is missing");
  chat::Tool tool = read_function(*function, in.at("function"), reading);
  tool.cache = read_openai_cache(in);
  request.tools.push_back(std::move(tool));
}

std::optional<Mode> mode_of(std::string_view word) {
  if (word == "auto") return Mode::automatic;
  if (word == "none") return Mode::none;
  if (word == "required") return Mode::required;
  return std::nullopt;
}

void read_allowed(OpenAiObject& in, chat::ToolChoice& choice) {
  const json::Value* value = in.object("allowed_tools");
  if (value == nullptr) return in.fail("allowed_tools", "is missing");
  OpenAiObject allowed(*value, in.at("allowed_tools"), in.reading());
  auto mode = mode_of(allowed.string("mode"));
  if (!mode || mode == Mode::none) allowed.fail("mode", "must be auto or required");
  choice.mode = mode.value_or(Mode::automatic);
  const json::Array* tools = allowed.list("tools");
  if (tools == nullptr || tools->empty()) return allowed.fail("tools", "must be a list of at least one tool");
  std::size_t index = 0;
  for (const json::Value& tool : *tools) {
    OpenAiObject named(tool, allowed.at("tools", index++), in.reading());
    choice.allowed.push_back(read_name(named));
  }
}

void read_choice(OpenAiObject& top, chat::ToolChoice& choice) {
  const json::Value* value = top.take("tool_choice");
  if (value == nullptr) return;
  if (value->is_string()) {
    auto mode = mode_of(top.string("tool_choice"));
    if (!mode) return top.fail("tool_choice", "must be auto, none, required or an object");
    choice.mode = *mode;
    return;
  }
  OpenAiObject in(*value, top.at("tool_choice"), top.reading());
  if (json::string_or(*value, "type", "") == "allowed_tools") {
    in.skip("type");
    return read_allowed(in, choice);
  }
  choice.mode = Mode::one;
  choice.name = read_name(in);
}

void read_legacy(OpenAiObject& top, chat::Request& request) {
  if (const json::Array* functions = top.list("functions")) {
    std::size_t index = 0;
    for (const json::Value& function : *functions)
      request.tools.push_back(read_function(function, top.at("functions", index++), top.reading()));
  }
  const json::Value* value = top.take("function_call");
  if (value == nullptr || request.tool_choice.mode != Mode::unset) return;
  if (value->is_string()) {
    auto mode = mode_of(top.string("function_call"));
    if (!mode || mode == Mode::required) top.fail("function_call", "must be auto, none or an object");
    request.tool_choice.mode = mode.value_or(Mode::unset);
    return;
  }
  OpenAiObject in(*value, top.at("function_call"), top.reading());
  request.tool_choice.mode = Mode::one;
  request.tool_choice.name = in.string("name");
  if (request.tool_choice.name.empty()) in.fail("name", "must be the name of a function");
}

}  // namespace

void read_openai_tools(OpenAiObject& top, chat::Request& request) {
  if (const json::Array* tools = top.list("tools")) {
    std::size_t index = 0;
    for (const json::Value& tool : *tools) read_tool(tool, top.at("tools", index++), top.reading(), request);
  }
  read_choice(top, request.tool_choice);
  request.parallel_tool_calls = top.boolean("parallel_tool_calls");
  read_legacy(top, request);
}

}  // namespace penstock::ext
