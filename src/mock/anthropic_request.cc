#include "mock/anthropic_request.h"

#include <algorithm>
#include <array>
#include <set>

#include "mock/base64.h"

namespace penstock::mock {
namespace {

constexpr std::array<std::string_view, 22> kFields = {"model",
                                                      "max_tokens",
                                                      "messages",
                                                      "system",
                                                      "metadata",
                                                      "stop_sequences",
                                                      "stream",
                                                      "temperature",
                                                      "top_k",
                                                      "top_p",
                                                      "tools",
                                                      "tool_choice",
                                                      "thinking",
                                                      "service_tier",
                                                      "container",
                                                      "mcp_servers",
                                                      "context_management",
                                                      "output_config",
                                                      "output_format",
                                                      "betas",
                                                      "inference_geo",
                                                      "cache_control"};

// The first mistake found, with the words the API has for it.
class Reader {
 public:
  explicit Reader(std::uint64_t seed) : seed_(seed), hash_(seed) {}
  AnthropicRequest take(const json::Value& body, bool counting);
  const std::string& mistake() const { return mistake_; }

 private:
  bool wrong(std::string text) {
    if (mistake_.empty()) mistake_ = std::move(text);
    return false;
  }
  void take_numbers(const json::Value& body, bool counting);
  void take_thinking(const json::Value& body);
  void take_tools(const json::Value& body);
  void take_choice(const json::Value& choice);
  void take_format(const json::Value& body);
  void take_system(const json::Value& body);
  void take_messages(const json::Array& messages);
  void take_message(const json::Array& messages, std::size_t index);
  void take_block(const json::Value& block, std::string_view role, const std::string& path, bool first);
  void take_thought(const json::Value& block, std::string_view role, const std::string& path);
  void take_result(const json::Value& block, const std::string& path);
  void take_source(const json::Value& block, std::string_view kind, const std::string& path);
  void check_results(const json::Array& messages, std::size_t index);
  void check_schema(const json::Value& schema);
  void note(const json::Value& piece);

  std::uint64_t seed_;
  std::uint64_t hash_;
  std::string mistake_;
  AnthropicRequest request_;
  bool thinking_ = false;
  std::int64_t max_tokens_ = 0;
  int breakpoints_ = 0;
  std::set<std::string, std::less<>> call_ids_;
};

bool is_token(std::string_view text, std::size_t longest) {
  return !text.empty() && text.size() <= longest && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::string text_of(const json::Value& content) {
  if (content.is_string()) return std::string(content.get_string());
  std::string text;
  if (!content.is_array()) return text;
  for (const auto& block : content.get_array()) text += json::string_or(block, "text", "");
  return text;
}

// The ids in the blocks of one type, of a message that may be words alone.
std::vector<std::string> ids_in(const json::Value& message, std::string_view type, std::string_view key) {
  std::vector<std::string> ids;
  const json::Value* content = json::find(message, "content");
  if (content == nullptr || !content->is_array()) return ids;
  for (const auto& block : content->get_array()) {
    if (json::string_or(block, "type", "") == type) ids.emplace_back(json::string_or(block, key, ""));
  }
  return ids;
}

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

void Reader::note(const json::Value& piece) {
  std::string text = json::dump(piece);
  hash_ = hash(text, hash_);
  AnthropicRequest::Piece noted{.hash = hash_, .tokens = estimate_tokens(text)};
  const json::Value* control = json::find(piece, "cache_control");
  if (control != nullptr && control->is_object()) {
    noted.breakpoint = true;
    noted.hour = json::string_or(*control, "ttl", "5m") == "1h";
    if (json::string_or(*control, "type", "") != "ephemeral") wrong("cache_control.type: Input should be 'ephemeral'");
    if (++breakpoints_ > 4)
      wrong(fmt::format("A maximum of 4 blocks with cache_control may be provided. Found {}.", breakpoints_));
  }
  request_.pieces.push_back(noted);
}

void Reader::take_numbers(const json::Value& body, bool counting) {
  const json::Value* most = json::find(body, "max_tokens");
  if (most == nullptr && !counting) wrong("max_tokens: Field required");
  if (most != nullptr) {
    if (!most->is_int64()) {
      wrong("max_tokens: Input should be a valid integer");
    } else if (most->get_int64() < 1) {
      wrong("max_tokens: Input should be greater than or equal to 1");
    }
    max_tokens_ = json::int_or(body, "max_tokens", 1);
    request_.prompt.tokens_max = static_cast<std::size_t>(std::max<std::int64_t>(max_tokens_, 1));
  }
  for (std::string_view name : {"temperature", "top_p"}) {
    const json::Value* value = json::find(body, name);
    if (value == nullptr || value->is_null()) continue;
    if (!value->is_number()) {
      wrong(fmt::format("{}: Input should be a valid number", name));
    } else if (value->to_number<double>() < 0 || value->to_number<double>() > 1) {
      wrong(fmt::format("{}: range: 0..1", name));
    }
  }
  const json::Value* stops = json::find(body, "stop_sequences");
  if (stops == nullptr || stops->is_null()) return;
  if (!stops->is_array()) {
    wrong("stop_sequences: Input should be a valid list");
    return;
  }
  for (const auto& stop : stops->get_array()) {
    if (!stop.is_string() || blank(stop.get_string())) {
      wrong("stop_sequences: each stop sequence must contain non-whitespace");
    } else {
      request_.prompt.stops.emplace_back(stop.get_string());
    }
  }
}

void Reader::take_thinking(const json::Value& body) {
  const json::Value* thinking = json::find(body, "thinking");
  if (thinking == nullptr || thinking->is_null()) return;
  std::string_view type = json::string_or(*thinking, "type", "");
  if (type == "disabled") return;
  if (type != "enabled" && type != "adaptive") {
    wrong(
        "thinking: Input tag found using 'type' does not match any of the expected tags: 'adaptive', 'disabled', "
        "'enabled'");
    return;
  }
  thinking_ = request_.prompt.think = true;
  request_.hide_thoughts = json::string_or(*thinking, "display", "") == "omitted";
  std::int64_t budget = json::int_or(*thinking, "budget_tokens", -1);
  if (type == "enabled") {
    if (budget < 0) wrong("thinking.enabled.budget_tokens: Field required");
    if (budget < 1024) wrong("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024");
    if (max_tokens_ > 0 && max_tokens_ <= budget)
      wrong("`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation");
  } else if (budget >= 0) {
    wrong("thinking.adaptive.budget_tokens: Extra inputs are not permitted");
  }
  const json::Value* temperature = json::find(body, "temperature");
  if (temperature != nullptr && temperature->is_number() && temperature->to_number<double>() != 1)
    wrong("`temperature` may only be set to 1 when thinking is enabled.");
  if (const json::Value* top_k = json::find(body, "top_k"); top_k != nullptr && !top_k->is_null())
    wrong("`top_k` must be unset when thinking is enabled.");
}

void Reader::take_tools(const json::Value& body) {
  const json::Value* tools = json::find(body, "tools");
  if (tools == nullptr || tools->is_null()) return;
  if (!tools->is_array()) {
    wrong("tools: Input should be a valid list");
    return;
  }
  std::set<std::string, std::less<>> names;
  for (std::size_t i = 0; i < tools->get_array().size(); ++i) {
    const json::Value& tool = tools->get_array()[i];
    std::string name(json::string_or(tool, "name", ""));
    note(tool);
    std::string_view type = json::string_or(tool, "type", "custom");
    if (!is_token(name, 128)) {
      wrong(fmt::format("tools.{}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'", i));
      continue;
    }
    if (!names.insert(name).second) wrong("tools: Tool names must be unique.");
    if (type != "custom") continue;  // a tool of the server's
    const json::Value* schema = json::find(tool, "input_schema");
    if (schema == nullptr) {
      wrong(fmt::format("tools.{}.custom.input_schema: Field required", i));
      continue;
    }
    if (json::string_or(*schema, "type", "") != "object")
      wrong(fmt::format("tools.{}.custom.input_schema.type: Field required", i));
    for (std::string_view key : {"oneOf", "allOf", "anyOf"}) {
      if (json::find(*schema, key) != nullptr)
        wrong(
            fmt::format("tools.{}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the "
                        "top level",
                        i));
    }
    request_.prompt.tools.push_back({std::move(name), *schema});
  }
}

void Reader::take_choice(const json::Value& choice) {
  std::string_view type = json::string_or(choice, "type", "");
  Prompt& prompt = request_.prompt;
  if (prompt.tools.empty() && type != "none")
    wrong("tool_choice: `tool_choice` may only be specified while providing `tools`.");
  if (type == "any") {
    prompt.choose = Choose::required;
  } else if (type == "none") {
    prompt.choose = Choose::none;
  } else if (type == "tool") {
    prompt.forced = json::string_or(choice, "name", "");
    if (std::ranges::find(prompt.tools, prompt.forced, &Tool::name) == prompt.tools.end())
      wrong(fmt::format("Tool '{}' not found in provided tools", prompt.forced));
  } else if (type != "auto") {
    wrong(
        "tool_choice: Input tag found using 'type' does not match any of the expected tags: 'any', 'auto', 'none', "
        "'tool'");
  }
  if (thinking_ && (type == "any" || type == "tool"))
    wrong("Thinking may not be enabled when tool_choice forces tool use.");
  prompt.parallel = !json::bool_or(choice, "disable_parallel_tool_use", false);
}

// Every object says that it has no other members, as structured output demands.
void Reader::check_schema(const json::Value& schema) {
  if (schema.is_array()) {
    for (const auto& item : schema.get_array()) check_schema(item);
  }
  if (!schema.is_object()) return;
  if (json::string_or(schema, "type", "") == "object" && json::bool_or(schema, "additionalProperties", true)) {
    wrong("output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false");
  }
  for (const auto& member : schema.get_object()) check_schema(member.value());
}

void Reader::take_format(const json::Value& body) {
  const json::Value* config = json::find(body, "output_config");
  const json::Value* format = config != nullptr ? json::find(*config, "format") : json::find(body, "output_format");
  if (config != nullptr) {
    std::string_view effort = json::string_or(*config, "effort", "high");
    constexpr std::array<std::string_view, 5> kEfforts = {"low", "medium", "high", "xhigh", "max"};
    if (std::ranges::find(kEfforts, effort) == kEfforts.end())
      wrong("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
  }
  if (format == nullptr || format->is_null()) return;
  const json::Value* schema = json::find(*format, "schema");
  if (json::string_or(*format, "type", "") != "json_schema" || schema == nullptr) {
    wrong("output_config.format.schema: Field required");
    return;
  }
  check_schema(*schema);
  request_.prompt.format = Prompt::Format::schema;
  request_.prompt.schema = *schema;
}

void Reader::take_system(const json::Value& body) {
  const json::Value* system = json::find(body, "system");
  if (system == nullptr) return;
  if (system->is_string()) {
    note(*system);
    return;
  }
  if (!system->is_array()) {
    wrong("system: Input should be a valid string or list");
    return;
  }
  for (std::size_t i = 0; i < system->get_array().size(); ++i) {
    const json::Value& block = system->get_array()[i];
    if (json::string_or(block, "type", "") != "text") wrong(fmt::format("system.{}.type: Input should be 'text'", i));
    if (json::string_or(block, "text", "").empty()) wrong("system: text content blocks must be non-empty");
    note(block);
  }
}

void Reader::take_source(const json::Value& block, std::string_view kind, const std::string& path) {
  const json::Value* source = json::find(block, "source");
  std::string_view type = source != nullptr ? json::string_or(*source, "type", "") : "";
  std::string_view media = source != nullptr ? json::string_or(*source, "media_type", "") : "";
  auto& attachments = request_.prompt.attachments;
  if (type == "base64") {
    constexpr std::array<std::string_view, 4> kImages = {"image/jpeg", "image/png", "image/gif", "image/webp"};
    if (kind == "image" && std::ranges::find(kImages, media) == kImages.end())
      wrong(
          fmt::format("{}.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or "
                      "'image/webp'",
                      path));
    if (kind == "document" && media != "application/pdf")
      wrong(fmt::format("{}.source.base64.media_type: Input should be 'application/pdf'", path));
    std::string_view data = json::string_or(*source, "data", "");
    if (data.empty() || !base64_size(data)) wrong(fmt::format("{}.source.base64.data: invalid base64 data", path));
    attachments.push_back(describe_bytes(kind, media, data));
  } else if (type == "url") {
    attachments.push_back(describe_url(kind, json::string_or(*source, "url", "")));
  } else if (type == "file") {
    attachments.push_back(fmt::format("[{} id {}]", kind, json::string_or(*source, "file_id", "")));
  } else if (type == "text" && kind == "document") {
    attachments.push_back(fmt::format("[document text/plain {} bytes]", json::string_or(*source, "data", "").size()));
  } else if (type == "content" && kind == "document") {
    attachments.emplace_back("[document content]");
  } else {
    wrong(fmt::format("{}.source: Input tag found using 'type' does not match any of the expected tags", path));
  }
}

void Reader::take_thought(const json::Value& block, std::string_view role, const std::string& path) {
  if (role != "assistant") wrong(fmt::format("{}: thinking blocks may only be in `assistant` messages", path));
  if (json::find(block, "cache_control") != nullptr)
    wrong(fmt::format("{}.cache_control: Extra inputs are not permitted", path));
  if (json::string_or(block, "type", "") == "redacted_thinking") {
    if (json::string_or(block, "data", "") != redact_thoughts(seed_))
      wrong(fmt::format("{}: Invalid `data` in `redacted_thinking` block", path));
    return;
  }
  if (json::find(block, "signature") == nullptr) wrong(fmt::format("{}.thinking.signature: Field required", path));
  std::string_view thoughts = json::string_or(block, "thinking", "");
  std::string_view signature = json::string_or(block, "signature", "");
  // Thoughts that were omitted come back empty, with the signature of what they were.
  bool omitted = thoughts.empty() && signature.starts_with("bW9ja");
  if (!omitted && signature != sign_thoughts(thoughts, seed_))
    wrong(fmt::format("{}: Invalid `signature` in `thinking` block", path));
}

void Reader::take_result(const json::Value& block, const std::string& path) {
  const json::Value* content = json::find(block, "content");
  std::string text = content != nullptr ? text_of(*content) : "";
  if (content != nullptr && content->is_array()) {
    for (const auto& part : content->get_array()) {
      if (json::string_or(part, "type", "") != "image") continue;
      take_source(part, "image", path + ".tool_result.content");
      if (!request_.prompt.attachments.empty()) text += request_.prompt.attachments.back();
    }
  }
  if (json::bool_or(block, "is_error", false)) text = "error: " + text;
  request_.prompt.results.push_back(std::move(text));
}

void Reader::take_block(const json::Value& block, std::string_view role, const std::string& path, bool first) {
  std::string_view type = json::string_or(block, "type", "");
  bool user = role == "user";
  if (type == "text") {
    if (blank(json::string_or(block, "text", ""))) wrong("messages: text content blocks must be non-empty");
    if (user) request_.prompt.text += std::string(json::string_or(block, "text", "")) + '\n';
  } else if ((type == "image" || type == "document") && user) {
    take_source(block, type, path);
  } else if (type == "tool_use" && !user) {
    const json::Value* input = json::find(block, "input");
    if (input == nullptr || !input->is_object()) wrong(path + ".tool_use.input: Input should be a valid dictionary");
    std::string id(json::string_or(block, "id", ""));
    if (!is_token(id, 256)) wrong(path + ".tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
    if (!is_token(json::string_or(block, "name", ""), 200))
      wrong(path + ".tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,200}$'");
    if (!call_ids_.insert(id).second) wrong("messages: `tool_use` ids must be unique");
  } else if (type == "tool_result" && user) {
    take_result(block, path);
  } else if (type == "thinking" || type == "redacted_thinking") {
    if (!first) wrong(path + ": thinking blocks must come first in the assistant's turn");
    take_thought(block, role, path);
  } else if (type != "server_tool_use" && !type.ends_with("_tool_result") && type != "search_result" &&
             type != "container_upload") {
    wrong(fmt::format("{}: Input tag '{}' found using 'type' does not match any of the expected tags", path, type));
  }
}

// Every call is answered in the next message, and first there; nothing else is answered.
void Reader::check_results(const json::Array& messages, std::size_t index) {
  auto calls = ids_in(messages[index], "tool_use", "id");
  std::vector<std::string> results;
  if (index + 1 < messages.size()) results = ids_in(messages[index + 1], "tool_result", "tool_use_id");
  bool user = json::string_or(messages[index], "role", "") == "user";
  std::string missing;
  for (const std::string& id : calls) {
    if (std::ranges::find(results, id) == results.end()) missing += (missing.empty() ? "" : ", ") + id;
  }
  if (!missing.empty()) {
    wrong(
        fmt::format("messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each "
                    "`tool_use` block must have a corresponding `tool_result` block in the next message.",
                    index, missing));
  }
  if (user) return;
  for (std::size_t i = 0; i < results.size(); ++i) {
    bool again = std::ranges::count(results, results[i]) > 1;
    if (again)
      wrong(fmt::format(
          "messages.{}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {}",
          index + 1, results[i]));
    if (std::ranges::find(calls, results[i]) != calls.end()) continue;
    wrong(
        fmt::format("messages.{}.content.{}: unexpected `tool_use_id` found in `tool_result` blocks: {}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message.",
                    index + 1, i, results[i]));
  }
}

void Reader::take_message(const json::Array& messages, std::size_t index) {
  const json::Value& message = messages[index];
  std::string_view role = json::string_or(message, "role", "");
  if (role != "user" && role != "assistant") {
    wrong(
        fmt::format("messages: Unexpected role \"{}\". The Messages API accepts a top-level `system` parameter, not "
                    "\"system\" as an input message role.",
                    role));
    return;
  }
  if (role == "user")
    request_.prompt.text.clear(), request_.prompt.attachments.clear(), request_.prompt.results.clear();
  const json::Value* content = json::find(message, "content");
  bool last = index + 1 == messages.size();
  if (content == nullptr || (!content->is_string() && !content->is_array())) {
    wrong(fmt::format("messages.{}.content: Input should be a valid string or list", index));
    return;
  }
  bool empty = content->is_string() ? blank(content->get_string()) : content->get_array().empty();
  if (empty && !(last && role == "assistant"))
    wrong(
        fmt::format("messages.{}: all messages must have non-empty content except for the optional final assistant "
                    "message",
                    index));
  if (content->is_string()) {
    note(*content);
    if (role == "user") request_.prompt.text = content->get_string();
  } else {
    bool others = false;
    bool first = true;
    for (std::size_t i = 0; i < content->get_array().size(); ++i) {
      const json::Value& block = content->get_array()[i];
      std::string_view type = json::string_or(block, "type", "");
      if (type == "tool_result" && others)
        wrong(
            fmt::format("messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. "
                        "`tool_result` blocks must come first in the message",
                        index, json::string_or(block, "tool_use_id", "")));
      others = others || type != "tool_result";
      take_block(block, role, fmt::format("messages.{}.content.{}", index, i), first);
      first = first && (type == "thinking" || type == "redacted_thinking");
      note(block);
    }
  }
  std::string said = text_of(*content);
  if (last && role == "assistant" && said.ends_with(' '))
    wrong("messages: final assistant content cannot end with trailing whitespace");
}

// With thinking on, a turn whose tools have just answered begins with the thoughts it had.
bool lacks_thoughts(const json::Array& messages) {
  if (messages.size() < 2 || ids_in(messages.back(), "tool_result", "tool_use_id").empty()) return false;
  const json::Value* content = json::find(messages[messages.size() - 2], "content");
  if (content == nullptr || !content->is_array() || content->get_array().empty()) return false;
  std::string_view type = json::string_or(content->get_array().front(), "type", "");
  return type != "thinking" && type != "redacted_thinking";
}

void Reader::take_messages(const json::Array& messages) {
  if (messages.empty()) wrong("messages: at least one message is required");
  std::string_view before;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    take_message(messages, i);
    check_results(messages, i);
    std::string_view role = json::string_or(messages[i], "role", "");
    if (i == 0 && role != "user") wrong("messages: first message must use the \"user\" role");
    if (i == 0 && !ids_in(messages[0], "tool_result", "tool_use_id").empty())
      wrong("messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks");
    if (role == before) {
      wrong(
          fmt::format("messages: roles must alternate between \"user\" and \"assistant\", but found multiple \"{}\" "
                      "roles in a row",
                      role));
    }
    before = role;
  }
  if (!request_.prompt.results.empty()) request_.prompt.text.clear();
  if (thinking_ && lacks_thoughts(messages)) {
    wrong(
        fmt::format("messages.{}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. "
                    "When `thinking` is enabled, a final `assistant` message must start with a thinking block",
                    messages.size() - 2));
  }
  if (thinking_ && before == "assistant")
    wrong("messages: when `thinking` is enabled, the conversation cannot end with an assistant message");
}

AnthropicRequest Reader::take(const json::Value& body, bool counting) {
  if (!body.is_object()) {
    wrong("The request body is not a JSON object.");
    return {};
  }
  request_.model = json::string_or(body, "model", "");
  if (request_.model.empty()) wrong("model: Field required");
  for (const auto& member : body.get_object()) {
    if (std::ranges::find(kFields, std::string_view(member.key())) == kFields.end())
      wrong(fmt::format("{}: Extra inputs are not permitted", std::string_view(member.key())));
  }
  request_.stream = json::bool_or(body, "stream", false);
  take_numbers(body, counting);
  take_thinking(body);
  take_tools(body);
  if (const json::Value* choice = json::find(body, "tool_choice"); choice != nullptr && !choice->is_null())
    take_choice(*choice);
  take_format(body);
  take_system(body);
  const json::Value* messages = json::find(body, "messages");
  if (messages == nullptr) {
    wrong("messages: Field required");
  } else if (!messages->is_array()) {
    wrong("messages: Input should be a valid list");
  } else {
    take_messages(messages->get_array());
  }
  return std::move(request_);
}

}  // namespace

std::string sign_thoughts(std::string_view thoughts, std::uint64_t seed) {
  return base64(fmt::format("mock-thoughts:{:016x}", hash(thoughts, seed)));
}

std::string redact_thoughts(std::uint64_t seed) { return base64(fmt::format("mock-redacted:{:016x}", seed)); }

std::expected<AnthropicRequest, Refusal> read_anthropic(std::string_view body, std::uint64_t seed, bool counting) {
  auto value = json::parse(body);
  if (!value) return refuse(fmt::format("The request body is not valid JSON: {}", value.error().detail));
  Reader reader(seed);
  AnthropicRequest request = reader.take(*value, counting);
  if (!reader.mistake().empty()) return refuse(reader.mistake());
  return request;
}

}  // namespace penstock::mock
