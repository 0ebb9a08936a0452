#include "mock/gemini_request.h"

#include <algorithm>
#include <span>

#include "mock/base64.h"

namespace penstock::mock {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::string_view kTop[] = {"contents",       "systemInstruction", "tools",         "toolConfig",
                                     "safetySettings", "generationConfig",  "cachedContent", "model",
                                     "labels",         "serviceTier",       "store"};
constexpr std::string_view kConfig[] = {"stopSequences",
                                        "responseMimeType",
                                        "responseSchema",
                                        "responseJsonSchema",
                                        "_responseJsonSchema",
                                        "responseModalities",
                                        "candidateCount",
                                        "maxOutputTokens",
                                        "temperature",
                                        "topP",
                                        "topK",
                                        "seed",
                                        "presencePenalty",
                                        "frequencyPenalty",
                                        "responseLogprobs",
                                        "logprobs",
                                        "enableEnhancedCivicAnswers",
                                        "speechConfig",
                                        "thinkingConfig",
                                        "imageConfig",
                                        "mediaResolution"};
constexpr std::string_view kContent[] = {"role", "parts"};
constexpr std::string_view kPart[] = {
    "text",           "inlineData",          "fileData", "functionCall",     "functionResponse",
    "executableCode", "codeExecutionResult", "thought",  "thoughtSignature", "videoMetadata",
    "partMetadata",   "mediaResolution"};
constexpr std::string_view kTool[] = {"functionDeclarations", "googleSearch", "googleSearchRetrieval",
                                      "codeExecution",        "urlContext",   "computerUse",
                                      "fileSearch",           "googleMaps"};
constexpr std::string_view kFunction[] = {
    "name", "description", "behavior", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"};
constexpr std::string_view kThinking[] = {"includeThoughts", "thinkingBudget", "thinkingLevel"};
constexpr std::string_view kChoice[] = {"mode", "allowedFunctionNames"};
constexpr std::string_view kToolConfig[] = {"functionCallingConfig", "retrievalConfig",
                                            "includeServerSideToolInvocations"};
constexpr std::string_view kInline[] = {"mimeType", "data", "displayName"};
constexpr std::string_view kFile[] = {"mimeType", "fileUri", "displayName"};
constexpr std::string_view kCall[] = {"id", "name", "args", "partialArgs", "willContinue"};
constexpr std::string_view kResponse[] = {"id", "name", "response", "willContinue", "scheduling", "parts"};
// The Schema object: a part of OpenAPI 3.0.
constexpr std::string_view kSchema[] = {
    "type",      "format",    "title",      "description", "nullable",      "enum",
    "maxItems",  "minItems",  "properties", "required",    "minProperties", "maxProperties",
    "minLength", "maxLength", "pattern",    "example",     "anyOf",         "propertyOrdering",
    "default",   "items",     "minimum",    "maximum"};

// JSON in protocol buffers takes a name in both spellings.
std::string camel(std::string_view name) {
  std::string result;
  bool raise = false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    if (c == '_' && i > 0) {
      raise = true;
      continue;
    }
    result += raise && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    raise = false;
  }
  return result;
}

// The members of an object by their camelCase names, down to where names are the client's own.
json::Value camelled(const json::Value& value) {
  constexpr std::string_view kOwn[] = {
      "args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "_responseJsonSchema", "properties"};
  if (value.is_array()) {
    json::Array items;
    for (const auto& item : value.get_array()) items.push_back(camelled(item));
    return items;
  }
  if (!value.is_object()) return value;
  json::Object object;
  for (const auto& member : value.get_object()) {
    std::string name = camel(member.key());
    bool own = std::ranges::find(kOwn, name) != std::end(kOwn);
    if (name == "properties" && member.value().is_object()) {
      json::Object properties;
      for (const auto& property : member.value().get_object()) properties[property.key()] = camelled(property.value());
      object[name] = std::move(properties);
    } else {
      object[name] = own ? member.value() : camelled(member.value());
    }
  }
  return object;
}

class Reader {
 public:
  explicit Reader(std::uint64_t seed) : seed_(seed) {}
  GeminiRequest take(const json::Value& body);
  const std::string& mistake() const { return mistake_; }

 private:
  void wrong(std::string text) {
    if (mistake_.empty()) mistake_ = std::move(text);
  }
  // An object with no other members than these.
  bool known(const json::Value* value, std::string_view path, Names names);
  const json::Array* list(const json::Value& parent, std::string_view name, const std::string& path);
  void take_config(const json::Value& config);
  void take_schema(const json::Value& schema, const std::string& path, int depth);
  void take_tools(const json::Array& tools);
  void take_function(const json::Value& function, const std::string& path);
  void take_choice(const json::Value& config);
  void take_contents(const json::Array& contents);
  void take_content(const json::Array& contents, std::size_t index);
  void take_part(const json::Value& part, const std::string& path, bool model);
  void take_call(const json::Value& part, const json::Value& call, const std::string& path);
  void take_response(const json::Value& response, const std::string& path);
  void check_turns(const json::Array& contents, std::size_t index);

  std::uint64_t seed_;
  std::string mistake_;
  GeminiRequest request_;
};

bool Reader::known(const json::Value* value, std::string_view path, Names names) {
  if (value == nullptr) return false;
  if (!value->is_object()) {
    wrong(fmt::format("Invalid value at '{}': expected an object", path));
    return false;
  }
  for (const auto& member : value->get_object()) {
    if (std::ranges::find(names, std::string_view(member.key())) != names.end()) continue;
    wrong(fmt::format("Invalid JSON payload received. Unknown name \"{}\"{}: Cannot find field.",
                      std::string_view(member.key()), path.empty() ? "" : fmt::format(" at '{}'", path)));
  }
  return true;
}

const json::Array* Reader::list(const json::Value& parent, std::string_view name, const std::string& path) {
  const json::Value* value = json::find(parent, name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) wrong(fmt::format("Invalid value at '{}': expected a list", path));
  return value->if_array();
}

void Reader::take_schema(const json::Value& schema, const std::string& path, int depth) {
  if (depth > 32 || !known(&schema, path, kSchema)) return;
  constexpr std::string_view kTypes[] = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL",
                                         "string", "number", "integer", "boolean", "array", "object", "null"};
  const json::Value* type = json::find(schema, "type");
  if (type != nullptr &&
      (!type->is_string() || std::ranges::find(kTypes, std::string_view(type->get_string())) == std::end(kTypes))) {
    wrong(
        fmt::format("Invalid value at '{}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type)", path));
  }
  if (const json::Array* values = list(schema, "enum", path + ".enum")) {
    for (const auto& value : *values) {
      if (!value.is_string()) wrong(fmt::format("Invalid value at '{}.enum[0]' (TYPE_STRING)", path));
    }
  }
  const json::Value* properties = json::find(schema, "properties");
  if (properties != nullptr && properties->is_object()) {
    for (const auto& member : properties->get_object())
      take_schema(member.value(), fmt::format("{}.properties[{}].value", path, std::string_view(member.key())),
                  depth + 1);
  }
  if (const json::Value* items = json::find(schema, "items")) take_schema(*items, path + ".items", depth + 1);
  if (const json::Array* options = list(schema, "anyOf", path + ".any_of")) {
    for (const auto& option : *options) take_schema(option, path + ".any_of", depth + 1);
  }
}

void Reader::take_config(const json::Value& config) {
  if (!known(&config, "generation_config", kConfig)) return;
  Prompt& prompt = request_.prompt;
  if (const json::Array* stops = list(config, "stopSequences", "generation_config.stop_sequences")) {
    if (stops->size() > 5) wrong("The number of stop sequences must be at most 5");
    for (const auto& stop : *stops) {
      if (stop.is_string()) prompt.stops.emplace_back(stop.get_string());
    }
  }
  std::int64_t most = json::int_or(config, "maxOutputTokens", INT32_MAX);
  if (most < 1) wrong("max_output_tokens must be positive.");
  prompt.tokens_max = static_cast<std::size_t>(std::max<std::int64_t>(most, 1));
  request_.candidates = json::int_or(config, "candidateCount", 1);
  if (request_.candidates < 1 || request_.candidates > 8) wrong("candidate_count must be from 1 to 8");
  if (const json::Value* temperature = json::find(config, "temperature");
      temperature != nullptr && !temperature->is_null()) {
    double value = temperature->is_number() ? temperature->to_number<double>() : -1;
    if (value < 0 || value > 2) wrong("Unable to submit request because it has a temperature value outside 0 to 2.");
  }
  if (const json::Value* thinking = json::find(config, "thinkingConfig");
      known(thinking, "generation_config.thinking_config", kThinking)) {
    request_.show_thoughts = json::bool_or(*thinking, "includeThoughts", false);
    bool both = json::find(*thinking, "thinkingBudget") != nullptr && json::find(*thinking, "thinkingLevel") != nullptr;
    if (both) wrong("You can only set only one of thinking budget and thinking level.");
    prompt.think = json::int_or(*thinking, "thinkingBudget", -1) != 0;
  }
  const json::Value* open = json::find(config, "responseSchema");
  const json::Value* plain = json::find(config, "responseJsonSchema");
  if (plain == nullptr) plain = json::find(config, "_responseJsonSchema");
  std::string_view type = json::string_or(config, "responseMimeType", "text/plain");
  if (open != nullptr && plain != nullptr) wrong("Only one of response_schema and response_json_schema may be set.");
  if (open != nullptr) take_schema(*open, "generation_config.response_schema", 0);
  if ((open != nullptr || plain != nullptr) && type != "application/json" && type != "text/x.enum")
    wrong(
        "* GenerateContentRequest.generation_config.response_mime_type: must be application/json when a response "
        "schema is set");
  if (type == "application/json") prompt.format = Prompt::Format::object;
  if (open == nullptr && plain == nullptr) return;
  prompt.format = Prompt::Format::schema;
  prompt.schema = open != nullptr ? *open : *plain;
}

void Reader::take_function(const json::Value& function, const std::string& path) {
  if (!known(&function, path, kFunction)) return;
  std::string name(json::string_or(function, "name", ""));
  bool fine = !name.empty() && name.size() <= 64 && !(name[0] >= '0' && name[0] <= '9') && name[0] != '-' &&
              std::ranges::all_of(name, [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                       c == '-' || c == '.' || c == ':';
              });
  if (!fine)
    wrong(
        fmt::format("{}.name: Invalid function name. Must start with a letter or an underscore and be at most 64 "
                    "characters of a-z, A-Z, 0-9, '_', '.', ':' and '-'.",
                    path));
  const json::Value* open = json::find(function, "parameters");
  const json::Value* plain = json::find(function, "parametersJsonSchema");
  if (open != nullptr && plain != nullptr)
    wrong(path + ": only one of parameters and parameters_json_schema may be set.");
  if (open != nullptr) take_schema(*open, path + ".parameters", 0);
  const json::Value* schema = open != nullptr ? open : plain;
  request_.prompt.tools.push_back({std::move(name), schema != nullptr ? *schema : json::Value()});
}

void Reader::take_tools(const json::Array& tools) {
  for (std::size_t i = 0; i < tools.size(); ++i) {
    std::string path = fmt::format("tools[{}]", i);
    if (!known(&tools[i], path, kTool)) continue;
    const json::Array* functions = list(tools[i], "functionDeclarations", path + ".function_declarations");
    for (std::size_t k = 0; functions != nullptr && k < functions->size(); ++k)
      take_function((*functions)[k], fmt::format("{}.function_declarations[{}]", path, k));
  }
}

void Reader::take_choice(const json::Value& config) {
  if (!known(&config, "tool_config", kToolConfig)) return;
  const json::Value* calling = json::find(config, "functionCallingConfig");
  if (!known(calling, "tool_config.function_calling_config", kChoice)) return;
  std::string_view mode = json::string_or(*calling, "mode", "AUTO");
  Prompt& prompt = request_.prompt;
  if (mode == "NONE") {
    prompt.choose = Choose::none;
  } else if (mode == "ANY") {
    prompt.choose = Choose::required;
  } else if (mode != "AUTO" && mode != "VALIDATED") {
    wrong("Invalid value at 'tool_config.function_calling_config.mode'");
  }
  const json::Array* names =
      list(*calling, "allowedFunctionNames", "tool_config.function_calling_config.allowed_function_names");
  if (names == nullptr || names->empty()) return;
  if (mode != "ANY" && mode != "VALIDATED")
    wrong("allowed_function_names should only be set when the function calling mode is ANY or VALIDATED.");
  std::erase_if(prompt.tools, [&](const Tool& tool) {
    return std::ranges::none_of(*names, [&](const json::Value& name) {
      return name.is_string() && std::string_view(name.get_string()) == tool.name;
    });
  });
  if (prompt.tools.empty()) wrong("allowed_function_names must name declared functions.");
  if (prompt.tools.size() == 1 && mode == "ANY") prompt.forced = prompt.tools.front().name;
}

void Reader::take_call(const json::Value& part, const json::Value& call, const std::string& path) {
  if (!known(&call, path + ".function_call", kCall)) return;
  std::string_view name = json::string_or(call, "name", "");
  if (name.empty()) wrong(path + ".function_call.name: Name cannot be empty.");
  const json::Value* args = json::find(call, "args");
  if (args != nullptr && !args->is_object())
    wrong(fmt::format("Invalid value at '{}.function_call.args' (Struct)", path));
  std::string_view signature = json::string_or(part, "thoughtSignature", "");
  // Google's own word for calls that no model of theirs made.
  constexpr std::string_view kForeign[] = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"};
  bool foreign = std::ranges::find(kForeign, signature) != std::end(kForeign);
  if (!signature.empty() && !foreign && signature != thought_signature(name, seed_))
    wrong(fmt::format("Invalid thought signature in function call '{}' at {}.", name, path));
}

void Reader::take_response(const json::Value& response, const std::string& path) {
  if (!known(&response, path + ".function_response", kResponse)) return;
  const json::Value* value = json::find(response, "response");
  if (json::string_or(response, "name", "").empty())
    wrong(fmt::format("* GenerateContentRequest.{}.function_response.name: Name cannot be empty.", path));
  if (value == nullptr || !value->is_object()) {
    wrong(fmt::format("Invalid value at '{}.function_response.response' (Struct)", path));
    return;
  }
  for (std::string_view key : {"result", "output"}) {
    const json::Value* inner = json::find(*value, key);
    if (inner == nullptr || value->get_object().size() != 1) continue;
    request_.prompt.results.push_back(inner->is_string() ? std::string(inner->get_string()) : json::dump(*inner));
    return;
  }
  request_.prompt.results.push_back(json::dump(*value));
}

void Reader::take_part(const json::Value& part, const std::string& path, bool model) {
  if (!known(&part, path, kPart)) return;
  Prompt& prompt = request_.prompt;
  int data = 0;
  for (std::string_view kind :
       {"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"})
    data += json::find(part, kind) != nullptr ? 1 : 0;
  if (data != 1)
    wrong(fmt::format("* GenerateContentRequest.{}.data: required oneof field 'data' must have one initialized field",
                      path));
  if (const json::Value* text = json::find(part, "text")) {
    if (!text->is_string()) wrong(fmt::format("Invalid value at '{}.text' (TYPE_STRING)", path));
    if (!model) prompt.text += std::string(json::string_or(part, "text", "")) + '\n';
  }
  if (const json::Value* blob = json::find(part, "inlineData"); known(blob, path + ".inline_data", kInline)) {
    std::string_view type = json::string_or(*blob, "mimeType", "");
    std::string_view bytes = json::string_or(*blob, "data", "");
    if (type.empty()) wrong(fmt::format("* GenerateContentRequest.{}.inline_data.mime_type: must be set", path));
    if (!base64_size(bytes))
      wrong(fmt::format("Invalid value at '{}.inline_data.data' (TYPE_BYTES), Base64 decoding failed", path));
    std::string_view kind = type.substr(0, type.find('/'));
    bool media = kind == "image" || kind == "audio" || kind == "video";
    if (!model) prompt.attachments.push_back(describe_bytes(media ? kind : "document", type, bytes));
  }
  if (const json::Value* file = json::find(part, "fileData"); known(file, path + ".file_data", kFile)) {
    std::string_view type = json::string_or(*file, "mimeType", "file");
    prompt.attachments.push_back(describe_url(type.substr(0, type.find('/')), json::string_or(*file, "fileUri", "")));
  }
  if (const json::Value* call = json::find(part, "functionCall")) {
    if (!model) wrong(path + ": function calls belong to the role model");
    take_call(part, *call, path);
  }
  if (const json::Value* response = json::find(part, "functionResponse")) take_response(*response, path);
}

std::int64_t count_of(const json::Value& content, std::string_view kind) {
  const json::Value* parts = json::find(content, "parts");
  if (parts == nullptr || !parts->is_array()) return 0;
  return std::ranges::count_if(parts->get_array(),
                               [&](const json::Value& part) { return json::find(part, kind) != nullptr; });
}

// As many responses as calls, in the turn right after them.
void Reader::check_turns(const json::Array& contents, std::size_t index) {
  std::int64_t responses = count_of(contents[index], "functionResponse");
  std::int64_t calls = index > 0 ? count_of(contents[index - 1], "functionCall") : 0;
  if (responses != calls && (responses > 0 || calls > 0))
    wrong(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the "
        "function call turn.");
  if (count_of(contents[index], "functionCall") > 0 && index + 1 == contents.size())
    wrong(
        "Please ensure that function call turn comes immediately after a user turn or after a function response turn.");
}

void Reader::take_content(const json::Array& contents, std::size_t index) {
  std::string path = fmt::format("contents[{}]", index);
  const json::Value& content = contents[index];
  if (!known(&content, path, kContent)) return;
  std::string_view role = json::string_or(content, "role", "user");
  if (role != "user" && role != "model" && role != "function") {
    wrong("Please use a valid role: user, model.");
    return;
  }
  bool model = role == "model";
  if (!model) request_.prompt.text.clear(), request_.prompt.attachments.clear(), request_.prompt.results.clear();
  const json::Array* parts = list(content, "parts", path + ".parts");
  if (parts == nullptr || parts->empty()) {
    wrong(fmt::format("* GenerateContentRequest.{}.parts: contents.parts must not be empty.", path));
    return;
  }
  for (std::size_t i = 0; i < parts->size(); ++i) take_part((*parts)[i], fmt::format("{}.parts[{}]", path, i), model);
  check_turns(contents, index);
  // The first call of a turn carries the signature of the thoughts before it.
  if (model && count_of(content, "functionCall") > 0 && request_.prompt.think) {
    auto first = std::ranges::find_if(
        *parts, [](const json::Value& part) { return json::find(part, "functionCall") != nullptr; });
    if (json::string_or(*first, "thoughtSignature", "").empty())
      wrong(
          fmt::format("Function call is missing a thought_signature in functionCall parts. This is required for tools "
                      "to work correctly. Function call at {}",
                      path));
  }
}

void Reader::take_contents(const json::Array& contents) {
  if (contents.empty()) wrong("* GenerateContentRequest.contents: contents is not specified");
  std::uint64_t seen = seed_;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    take_content(contents, i);
    std::string text = json::dump(contents[i]);
    request_.prompt_tokens += estimate_tokens(text);
    request_.beginnings.push_back(seen = hash(text, seen));
  }
  if (!request_.prompt.results.empty()) request_.prompt.text.clear();
}

GeminiRequest Reader::take(const json::Value& given) {
  json::Value body = camelled(given);
  if (!known(&body, "", kTop)) return {};
  if (const json::Value* config = json::find(body, "generationConfig")) take_config(*config);
  if (const json::Array* tools = list(body, "tools", "tools")) take_tools(*tools);
  if (const json::Value* config = json::find(body, "toolConfig")) take_choice(*config);
  if (const json::Value* system = json::find(body, "systemInstruction");
      known(system, "system_instruction", kContent)) {
    if (list(*system, "parts", "system_instruction.parts") == nullptr)
      wrong("system_instruction.parts must not be empty.");
    request_.prompt_tokens += estimate_tokens(json::dump(*system));
  }
  request_.cached = json::find(body, "cachedContent") != nullptr;
  const json::Array* contents = list(body, "contents", "contents");
  take_contents(contents != nullptr ? *contents : json::Array());
  return std::move(request_);
}

}  // namespace

std::string thought_signature(std::string_view what, std::uint64_t seed) {
  return base64(fmt::format("mock-signature:{:016x}", hash(what, seed)));
}

std::expected<GeminiRequest, Refusal> read_gemini(const json::Value& body, std::uint64_t seed) {
  Reader reader(seed);
  GeminiRequest request = reader.take(body);
  if (!reader.mistake().empty()) return refuse(reader.mistake());
  return request;
}

}  // namespace penstock::mock
