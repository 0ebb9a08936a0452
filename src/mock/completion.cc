#include "mock/completion.h"

#include "json/peek.h"
#include "json/value.h"
#include "mock/instance.h"

namespace penstock::mock {
namespace {

using Kind = json::Field::Kind;

enum At : std::size_t {
  kModel,
  kMessages,
  kPrompt,
  kStream,
  kN,
  kMaxTokens,
  kMaxCompletionTokens,
  kStop,
  kStreamOptions,
  kTools,
  kToolChoice,
  kParallel,
  kResponseFormat,
  kCount
};
constexpr std::array<std::string_view, kCount> kNames = {"model",
                                                         "messages",
                                                         "prompt",
                                                         "stream",
                                                         "n",
                                                         "max_tokens",
                                                         "max_completion_tokens",
                                                         "stop",
                                                         "stream_options",
                                                         "tools",
                                                         "tool_choice",
                                                         "parallel_tool_calls",
                                                         "response_format"};

struct Body {
  std::string_view text;
  std::vector<json::Field> fields;
  const json::Field& at(At index) const { return fields[index]; }
  bool given(At index) const { return at(index).kind != Kind::absent && at(index).kind != Kind::null; }
  std::string_view bytes(At index) const { return text.substr(at(index).begin, at(index).end - at(index).begin); }
  // The value as a document: only for what few requests carry. peek() has found it valid.
  json::Value value(At index) const {
    return given(index) ? json::parse(bytes(index)).value_or(nullptr) : json::Value();
  }
};

std::unexpected<Refusal> refuse(std::string message, std::string_view param = {}) {
  return std::unexpected(Refusal{std::move(message), std::string(param)});
}

// An integer within bounds, the fallback when not given.
std::expected<std::int64_t, Refusal> integer(const Body& body, At index, std::int64_t low, std::int64_t high,
                                             std::int64_t fallback) {
  if (!body.given(index)) return fallback;
  const json::Field& field = body.at(index);
  if (field.kind != Kind::integer || field.integer < low || field.integer > high) {
    return refuse(fmt::format("'{}' must be an integer from {} to {}.", kNames[index], low, high), kNames[index]);
  }
  return field.integer;
}

std::int64_t estimate_tokens(std::string_view prompt) { return static_cast<std::int64_t>((prompt.size() + 3) / 4) + 3; }

std::vector<std::string> stop_strings(const Body& body) {
  std::vector<std::string> stops;
  json::Value value = body.value(kStop);
  if (value.is_string()) stops.emplace_back(value.get_string());
  if (value.is_array()) {
    for (const auto& item : value.get_array()) {
      if (item.is_string()) stops.emplace_back(item.get_string());
    }
  }
  return stops;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

// The text of the last message when the user wrote it; tool results are answered in words.
std::string last_user_text(const Body& body) {
  json::Value messages = body.value(kMessages);
  if (!messages.is_array() || messages.get_array().empty()) return {};
  const json::Value& last = messages.get_array().back();
  if (json::string_or(last, "role", "") != "user") return {};
  const json::Value* content = json::find(last, "content");
  if (content == nullptr) return {};
  if (content->is_string()) return lower(content->get_string());
  std::string text;
  if (content->is_array()) {
    for (const auto& part : content->get_array()) text += lower(json::string_or(part, "text", "")) + '\n';
  }
  return text;
}

// A user asks for a tool by a word of its name: "weather" for get_weather; or by saying "tool".
bool asks_for(std::string_view asked, std::string_view tool) {
  constexpr std::size_t kTellingLength = 4;
  std::string name = lower(tool);
  std::string_view rest = name;
  while (!rest.empty()) {
    std::size_t end = std::min(rest.find_first_of("_-."), rest.size());
    if (end >= kTellingLength && asked.find(rest.substr(0, end)) != std::string_view::npos) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return asked.find("tool") != std::string_view::npos;
}

// The functions to call, none when the answer is words.
std::vector<const json::Value*> chosen_tools(const Body& body, const json::Value& tools, const json::Value& choice) {
  std::vector<const json::Value*> chosen;
  if (!tools.is_array() || (choice.is_string() && choice.get_string() == "none")) return chosen;
  std::string_view forced;
  if (const json::Value* function = json::find(choice, "function")) forced = json::string_or(*function, "name", "");
  bool required = choice.is_string() && choice.get_string() == "required";
  std::string asked = last_user_text(body);
  const json::Value* first = nullptr;
  for (const auto& tool : tools.get_array()) {
    const json::Value* function = json::find(tool, "function");
    if (function == nullptr) continue;
    std::string_view name = json::string_or(*function, "name", "");
    if (first == nullptr) first = function;
    if (!forced.empty() ? name == forced : asks_for(asked, name)) chosen.push_back(function);
  }
  if (chosen.empty() && required && first != nullptr) chosen.push_back(first);
  bool one = body.at(kParallel).kind == Kind::boolean && !body.at(kParallel).boolean;
  if (one && chosen.size() > 1) chosen.resize(1);
  return chosen;
}

std::vector<ToolCall> tool_calls(const std::vector<const json::Value*>& functions, std::uint64_t seed) {
  std::vector<ToolCall> calls;
  Random random(seed);
  for (const json::Value* function : functions) {
    const json::Value* parameters = json::find(*function, "parameters");
    ToolCall call;
    call.id = fmt::format("call_{:016x}", random.next());
    call.name = json::string_or(*function, "name", "");
    call.arguments = parameters != nullptr ? json::dump(instance_of(*parameters, random.next())) : "{}";
    calls.push_back(std::move(call));
  }
  return calls;
}

Text content_of(const json::Value& format, const Options& options, std::uint64_t seed) {
  auto count = static_cast<std::size_t>(options.tokens);
  std::string_view type = json::string_or(format, "type", "");
  if (type == "json_object") {
    json::Object object;
    object["answer"] = words(seed, count).text;
    return tokenized(json::dump(object));
  }
  if (type == "json_schema") {
    const json::Value* wrapper = json::find(format, "json_schema");
    const json::Value* schema = wrapper != nullptr ? json::find(*wrapper, "schema") : nullptr;
    if (schema != nullptr) return tokenized(json::dump(instance_of(*schema, seed)));
  }
  return words(seed, count);
}

void shorten(Choice& choice, const std::vector<std::string>& stops, std::size_t tokens_max) {
  std::size_t stop_at = std::string::npos;
  for (const std::string& stop : stops) {
    if (!stop.empty()) stop_at = std::min(stop_at, choice.content.text.find(stop));
  }
  choice.content.cut(stop_at);
  if (choice.content.ends.size() > tokens_max) {
    choice.content.keep(tokens_max);
    choice.finish = "length";
  }
}

std::expected<Body, Refusal> read(std::string_view text) {
  auto peeked = json::peek(text, kNames);
  if (!peeked) return refuse(peeked.error().detail);
  return Body{text, std::move(peeked->fields)};
}

// What both kinds of completion have in common; `prompts` is how many inputs one body carries.
std::expected<Completion, Refusal> fill(const Body& body, const Options& options, std::size_t prompts) {
  constexpr std::int64_t kChoicesMax = 128;
  Completion result;
  if (body.at(kModel).kind != Kind::string) return refuse("you must provide a model parameter", "model");
  if (body.given(kStream) && body.at(kStream).kind != Kind::boolean)
    return refuse("'stream' must be a boolean.", "stream");
  auto n = integer(body, kN, 1, kChoicesMax, 1);
  if (!n) return std::unexpected(n.error());
  auto tokens_max = integer(body, kMaxTokens, 1, INT32_MAX, INT32_MAX);
  if (tokens_max) tokens_max = integer(body, kMaxCompletionTokens, 1, INT32_MAX, *tokens_max);
  if (!tokens_max) return std::unexpected(tokens_max.error());

  result.model = body.at(kModel).string;
  result.key = hash(body.text, options.seed);
  result.stream = body.at(kStream).boolean;
  if (body.given(kStreamOptions))
    result.include_usage = json::bool_or(body.value(kStreamOptions), "include_usage", false);

  json::Value tools = body.value(kTools);
  json::Value choice_of_tool = body.value(kToolChoice);
  auto functions = chosen_tools(body, tools, choice_of_tool);
  json::Value format = body.value(kResponseFormat);
  auto stops = stop_strings(body);
  Random random(result.key);
  std::size_t count = static_cast<std::size_t>(*n) * prompts;
  result.choices.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    Choice& choice = result.choices.emplace_back();
    std::uint64_t seed = random.next();
    if (!functions.empty()) {
      choice.calls = tool_calls(functions, seed);
      choice.finish = "tool_calls";
      for (const ToolCall& call : choice.calls) result.completion_tokens += estimate_tokens(call.arguments);
      continue;
    }
    choice.content = content_of(format, options, seed);
    shorten(choice, stops, static_cast<std::size_t>(*tokens_max));
    result.completion_tokens += static_cast<std::int64_t>(choice.content.ends.size());
  }
  return result;
}

}  // namespace

std::expected<Completion, Refusal> complete_chat(std::string_view text, const Options& options) {
  auto body = read(text);
  if (!body) return std::unexpected(body.error());
  if (body->at(kMessages).kind != Kind::array || body->at(kMessages).elements == 0) {
    return refuse("'messages' must be an array with at least one message.", "messages");
  }
  auto result = fill(*body, options, 1);
  if (result) result->prompt_tokens = estimate_tokens(body->bytes(kMessages));
  return result;
}

std::expected<Completion, Refusal> complete_text(std::string_view text, const Options& options) {
  auto body = read(text);
  if (!body) return std::unexpected(body.error());
  std::size_t prompts = 1;
  if (body->at(kPrompt).kind == Kind::array) {
    json::Value prompt = body->value(kPrompt);
    const json::Array& items = prompt.get_array();
    if (items.empty() || items.size() > 2048) return refuse("'prompt' must hold 1 to 2048 inputs.", "prompt");
    if (!items.front().is_number()) prompts = items.size();
  } else if (body->at(kPrompt).kind != Kind::string) {
    return refuse("'prompt' must be a string or an array.", "prompt");
  }
  auto result = fill(*body, options, prompts);
  if (!result) return result;
  result->chat = false;
  result->prompt_tokens = estimate_tokens(body->bytes(kPrompt));
  return result;
}

}  // namespace penstock::mock
