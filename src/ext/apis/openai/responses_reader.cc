#include "ext/apis/openai/responses_reader.h"

#include "chat/turns.h"
#include "ext/apis/openai/object_reader.h"
#include "ext/apis/openai/responses_input.h"

namespace penstock::ext {
namespace {

using chat::OutputFormat;
using chat::ToolChoice;
using Mode = ToolChoice::Mode;

// What the answer repeats: as it was said, or what holds when nothing was.
void repeat(OpenAiObject& body, std::string_view name, json::Value otherwise, chat::Request& request) {
  const json::Value* said = body.take(name);
  request.echo[name] = said != nullptr ? *said : std::move(otherwise);
}

// The object in a field, when it is there.
class Inner {
 public:
  Inner(OpenAiObject& owner, std::string_view name) {
    if (const json::Value* value = owner.object(name)) object_.emplace(*value, owner.at(name), owner.reading());
  }
  explicit operator bool() const { return object_.has_value(); }
  OpenAiObject& operator*() { return *object_; }
  OpenAiObject* operator->() { return &*object_; }

 private:
  std::optional<OpenAiObject> object_;
};

void read_input(OpenAiObject& body, chat::Request& request) {
  auto add = [&](chat::Role role, std::string_view text) {
    request.messages.push_back({role, {{.content = chat::Text{std::string(text)}}}});
  };
  if (auto instructions = body.string("instructions"); !instructions.empty()) add(chat::Role::system, instructions);
  repeat(body, "instructions", nullptr, request);
  const json::Value* input = body.take("input");
  if (input != nullptr && input->is_string()) {
    add(chat::Role::user, std::string_view(input->get_string()));
  } else if (input != nullptr && input->is_array()) {
    ResponsesInput(request.messages).read(input->get_array(), body, "input");
  } else {
    body.fail("input", "must be a string or a list of items");
  }
  chat::tie_calls(request.messages);
}

// Tools of other types run at OpenAI: nobody else has them.
void read_tools(OpenAiObject& body, chat::Request& request) {
  json::Array repeated;
  const json::Array* tools = body.list("tools");
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const json::Value& value = (*tools)[i];
    std::string_view type = json::string_or(value, "type", "");
    if (!type.empty() && type != "function") {
      body.reading().leave_unread(body.at("tools", i));
      continue;
    }
    OpenAiPlace place = body.at("tools", i);
    OpenAiObject tool(value, place, body.reading());
    if (type.empty()) tool.fail("type", "must be function");
    tool.skip("type");
    chat::Tool& read = request.tools.emplace_back();
    read.name = tool.string("name");
    if (read.name.empty()) tool.fail("name", "must be the name of the function");
    read.description = tool.string("description");
    if (const json::Value* schema = tool.object("parameters")) read.schema = *schema;
    read.strict = tool.boolean("strict");
    if (body.reading().mistake) return;
    json::Object shown = value.get_object();
    for (const char* name : {"description", "parameters", "strict"}) shown.emplace(name, nullptr);
    repeated.push_back(std::move(shown));
  }
  request.echo["tools"] = std::move(repeated);
}

void read_allowed_tools(OpenAiObject& choice, ToolChoice& out) {
  out.mode = choice.string("mode") == "required" ? Mode::required : Mode::automatic;
  const json::Array* tools = choice.list("tools");
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    OpenAiObject tool((*tools)[i], choice.at("tools", i), choice.reading());
    if (tool.string("type") == "function") {
      out.allowed.emplace_back(tool.string("name"));
    } else {
      tool.unread("type");
    }
  }
  if (out.allowed.empty()) choice.fail("tools", "must name a function");
}

void read_tool_choice(OpenAiObject& body, chat::Request& request) {
  constexpr std::pair<std::string_view, Mode> kModes[] = {
      {"auto", Mode::automatic}, {"none", Mode::none}, {"required", Mode::required}};
  const json::Value* value = body.take("tool_choice");
  repeat(body, "tool_choice", "auto", request);
  if (value == nullptr) return;
  if (value->is_string()) {
    for (const auto& [name, mode] : kModes) {
      if (name == value->get_string()) request.tool_choice.mode = mode;
    }
    if (request.tool_choice.mode == Mode::unset) body.fail("tool_choice", "must be auto, none, required or an object");
    return;
  }
  OpenAiObject choice(*value, body.at("tool_choice"), body.reading());
  std::string_view type = choice.string("type");
  if (type == "function") {
    request.tool_choice = {Mode::one, std::string(choice.string("name"))};
    if (request.tool_choice.name.empty()) choice.fail("name", "must be the name of the function");
  } else if (type == "allowed_tools") {
    read_allowed_tools(choice, request.tool_choice);
  } else {
    choice.fail("type", "must be function or allowed_tools: no other tool can be chosen here");
  }
}

void read_format(OpenAiObject& format, OutputFormat& out) {
  std::string_view type = format.string("type");
  if (type == "json_object") {
    out.kind = OutputFormat::Kind::json;
  } else if (type == "json_schema") {
    out.kind = OutputFormat::Kind::schema;
    out.name = format.string("name");
    out.description = format.string("description");
    out.strict = format.boolean("strict");
    if (out.name.empty()) format.fail("name", "must be the name of the schema");
    if (const json::Value* schema = format.object("schema")) {
      out.schema = *schema;
    } else {
      format.fail("schema", "must be an object");
    }
  } else if (type != "text") {
    format.fail("type", "must be text, json_object or json_schema");
  }
}

void read_text(OpenAiObject& body, chat::Request& request) {
  json::Object shown{{"format", json::Object{{"type", "text"}}}};
  if (Inner text(body, "text"); text) {
    request.verbosity = text->string("verbosity");
    if (!request.verbosity.empty()) shown["verbosity"] = request.verbosity;
    if (Inner format(*text, "format"); format) {
      read_format(*format, request.format);
      shown["format"] = *text->take("format");
    }
  }
  request.echo["text"] = std::move(shown);
}

void read_reasoning(OpenAiObject& body, chat::Request& request) {
  json::Object shown{{"effort", nullptr}, {"summary", nullptr}};
  if (Inner reasoning(body, "reasoning"); reasoning) {
    request.reasoning.effort = reasoning->string("effort");
    request.reasoning.summary = reasoning->string("generate_summary");
    if (auto summary = reasoning->string("summary"); !summary.empty()) request.reasoning.summary = summary;
    if (!request.reasoning.effort.empty()) shown["effort"] = request.reasoning.effort;
    if (!request.reasoning.summary.empty()) {
      request.reasoning.show = true;
      shown["summary"] = request.reasoning.summary;
    }
  }
  request.echo["reasoning"] = std::move(shown);
}

void read_sampling(OpenAiObject& body, chat::Request& request) {
  request.max_output_tokens = body.integer("max_output_tokens", 1);
  request.temperature = body.number("temperature");
  request.top_p = body.number("top_p");
  request.parallel_tool_calls = body.boolean("parallel_tool_calls");
  request.top_logprobs = body.integer("top_logprobs", 0, 20);
  if (request.top_logprobs.value_or(0) > 0) request.logprobs = true;
  for (std::string_view name : {"max_output_tokens", "temperature", "top_p"}) repeat(body, name, nullptr, request);
  repeat(body, "parallel_tool_calls", true, request);
  if (request.top_logprobs) request.echo["top_logprobs"] = *request.top_logprobs;
}

void read_include(OpenAiObject& body, chat::Request& request) {
  const json::Array* include = body.list("include");
  for (std::size_t i = 0; include != nullptr && i < include->size(); ++i) {
    const json::Value& entry = (*include)[i];
    OpenAiPlace place = body.at("include", i);
    if (!entry.is_string()) {
      body.reading().fail(place, "must be a string");
    } else if (entry.get_string() == "message.output_text.logprobs") {
      request.logprobs = true;
    } else if (entry.get_string() != "reasoning.encrypted_content") {  // which is always there
      body.reading().leave_unread(place);
    }
  }
}

void read_metadata(OpenAiObject& body, chat::Request& request) {
  if (const json::Value* metadata = body.object("metadata")) {
    for (const auto& [name, value] : metadata->get_object()) {
      if (value.is_string()) {
        request.metadata.emplace(name, value.get_string());
      } else {
        body.fail("metadata", "must have strings as its values");
      }
    }
  }
  repeat(body, "metadata", json::Object{}, request);
}

void read_caller(OpenAiObject& body, chat::Request& request) {
  request.service_tier = body.string("service_tier");
  request.user = body.string("user");
  if (auto identifier = body.string("safety_identifier"); !identifier.empty()) request.user = identifier;
  for (std::string_view name : {"service_tier", "user", "safety_identifier"}) {
    if (const json::Value* said = body.take(name)) request.echo[name] = *said;
  }
}

// What OpenAI would do with the answer afterwards, and with the conversation before.
void read_state(OpenAiObject& body, chat::Request& request) {
  (void)body.string("previous_response_id");
  (void)body.boolean("store");
  repeat(body, "previous_response_id", nullptr, request);
  repeat(body, "store", true, request);
  if (body.boolean("background").value_or(false))
    body.fail("background", "must be false or absent: the gateway answers while the caller waits");
  if (body.take("conversation") != nullptr)
    body.fail("conversation", "must be absent: no conversations are kept here; use previous_response_id");
  request.echo["background"] = false;
  if (auto truncation = body.string("truncation"); !truncation.empty() && truncation != "disabled")
    body.unread("truncation");
  request.echo["truncation"] = "disabled";
  // Padding against those who measure the sizes of encrypted events. The gateway never adds any.
  if (Inner options(body, "stream_options"); options) {
    if (options->boolean("include_obfuscation").value_or(false)) options->unread("include_obfuscation");
  }
}

}  // namespace

Result<chat::Request> read_responses_request(std::string_view text) {
  auto value = json::parse(text);
  if (!value) return std::unexpected(value.error());
  chat::Request request;
  OpenAiReading reading;
  {
    OpenAiObject body(*value, {}, reading);
    request.model = body.string("model");
    if (request.model.empty()) body.fail("model", "must be the name of a model");
    request.stream = body.boolean("stream").value_or(false);
    read_state(body, request);
    read_input(body, request);
    read_tools(body, request);
    read_tool_choice(body, request);
    read_text(body, request);
    read_reasoning(body, request);
    read_sampling(body, request);
    read_include(body, request);
    read_metadata(body, request);
    read_caller(body, request);
  }
  if (reading.mistake) return std::unexpected(std::move(*reading.mistake));
  request.unread = std::move(reading.unread);
  return request;
}

}  // namespace penstock::ext
