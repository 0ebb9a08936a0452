// Ollama's own API (docs/api.md of that project).
#include <algorithm>
#include <array>

#include "mock/base64.h"
#include "mock/conversation.h"
#include "mock/dialect.h"
#include "mock/embeddings.h"

namespace penstock::mock {
namespace {

constexpr std::array<std::string_view, 3> kModels = {"mock-small:latest", "mock-large:latest", "mock-embedding:latest"};
constexpr std::string_view kCreated = "2023-11-14T22:13:20Z";

struct Request {
  std::string model;
  bool chat = true;
  bool stream = true;
  bool load = false;  // nothing is asked: the model is only to be loaded
  Prompt prompt;
  std::int64_t prompt_tokens = 0;
  std::vector<std::uint64_t> beginnings;
};

// The first mistake, in the words of Go's decoder or of Ollama.
class Reader {
 public:
  explicit Reader(std::uint64_t seed) : seed_(seed) {}
  Request take(const json::Value& body, bool chat);
  const std::string& mistake() const { return mistake_; }

 private:
  void wrong(std::string text) {
    if (mistake_.empty()) mistake_ = std::move(text);
  }
  std::string string_of(const json::Value& parent, std::string_view key, std::string_view type);
  void take_options(const json::Value& body);
  void take_tools(const json::Value& body);
  void take_images(const json::Value& parent);
  void take_message(const json::Value& message);
  void take_calls(const json::Value& message);
  void take_messages(const json::Value& body);
  void take_generate(const json::Value& body);
  void note(const json::Value& piece);

  std::uint64_t seed_;
  std::string mistake_;
  Request request_;
};

std::string_view kind_of(const json::Value& value) {
  if (value.is_array()) return "array";
  if (value.is_object()) return "object";
  if (value.is_number()) return "number";
  if (value.is_bool()) return "bool";
  return "string";
}

std::string cannot(const json::Value& value, std::string_view field, std::string_view type) {
  return fmt::format("json: cannot unmarshal {} into Go struct field {} of type {}", kind_of(value), field, type);
}

std::string Reader::string_of(const json::Value& parent, std::string_view key, std::string_view type) {
  const json::Value* value = json::find(parent, key);
  if (value == nullptr || value->is_null()) return {};
  if (!value->is_string()) {
    wrong(cannot(*value, fmt::format("{}.{}", type, key), "string"));
    return {};
  }
  return std::string(value->get_string());
}

void Reader::note(const json::Value& piece) {
  std::string text = json::dump(piece);
  std::uint64_t before = request_.beginnings.empty() ? seed_ : request_.beginnings.back();
  request_.beginnings.push_back(hash(text, before));
  request_.prompt_tokens += estimate_tokens(text);
}

void Reader::take_options(const json::Value& body) {
  Prompt& prompt = request_.prompt;
  if (const json::Value* stream = json::find(body, "stream"); stream != nullptr && !stream->is_null()) {
    if (!stream->is_bool()) wrong(cannot(*stream, "ChatRequest.stream", "bool"));
    request_.stream = json::bool_or(body, "stream", true);
  }
  if (const json::Value* think = json::find(body, "think"); think != nullptr && !think->is_null()) {
    constexpr std::array<std::string_view, 3> kLevels = {"low", "medium", "high"};
    bool level =
        think->is_string() && std::ranges::find(kLevels, std::string_view(think->get_string())) != kLevels.end();
    if (!level && !think->is_bool())
      wrong(fmt::format("invalid think value: {} (must be \"high\", \"medium\", \"low\", true, or false)",
                        json::dump(*think)));
    prompt.think = level || (think->is_bool() && think->get_bool());
  }
  if (const json::Value* format = json::find(body, "format"); format != nullptr && !format->is_null()) {
    if (format->is_object()) {
      prompt.format = Prompt::Format::schema;
      prompt.schema = *format;
    } else if (format->is_string() && format->get_string() == "json") {
      prompt.format = Prompt::Format::object;
    } else if (!format->is_string() || !format->get_string().empty()) {
      wrong(fmt::format("invalid format: {}; expected \"json\" or a valid JSON Schema object", json::dump(*format)));
    }
  }
  const json::Value* options = json::find(body, "options");
  if (options == nullptr || options->is_null()) return;
  if (!options->is_object()) {
    wrong(cannot(*options, "ChatRequest.options", "map[string]interface {}"));
    return;
  }
  const json::Value* most = json::find(*options, "num_predict");
  if (most != nullptr && !most->is_number()) wrong("option \"num_predict\" must be of type integer");
  if (std::int64_t count = json::int_or(*options, "num_predict", -1); count > 0)
    prompt.tokens_max = static_cast<std::size_t>(count);
  const json::Value* temperature = json::find(*options, "temperature");
  if (temperature != nullptr && !temperature->is_number()) wrong("option \"temperature\" must be of type float32");
  const json::Value* stops = json::find(*options, "stop");
  if (stops == nullptr || stops->is_null()) return;
  if (!stops->is_array()) {
    wrong("option \"stop\" must be of type array");
    return;
  }
  for (const auto& stop : stops->get_array()) {
    if (stop.is_string()) prompt.stops.emplace_back(stop.get_string());
  }
}

void Reader::take_tools(const json::Value& body) {
  const json::Value* tools = json::find(body, "tools");
  if (tools == nullptr || tools->is_null()) return;
  if (!tools->is_array()) {
    wrong(cannot(*tools, "ChatRequest.tools", "api.Tools"));
    return;
  }
  for (const auto& tool : tools->get_array()) {
    const json::Value* function = json::find(tool, "function");
    const json::Value* parameters = function != nullptr ? json::find(*function, "parameters") : nullptr;
    if (function == nullptr) continue;
    request_.prompt.tools.push_back(
        {std::string(json::string_or(*function, "name", "")), parameters != nullptr ? *parameters : json::Value()});
  }
}

void Reader::take_images(const json::Value& parent) {
  const json::Value* images = json::find(parent, "images");
  if (images == nullptr || images->is_null()) return;
  if (!images->is_array()) {
    wrong(cannot(*images, "Message.images", "[]api.ImageData"));
    return;
  }
  for (const auto& image : images->get_array()) {
    std::string_view data = image.is_string() ? std::string_view(image.get_string()) : "";
    if (!image.is_string() || !base64_size(data)) wrong("illegal base64 data at input byte 4");
    request_.prompt.attachments.push_back(describe_bytes("image", image_type(data), data));
  }
}

// The arguments of a call are an object here, never text.
void Reader::take_calls(const json::Value& message) {
  const json::Value* calls = json::find(message, "tool_calls");
  if (calls == nullptr || !calls->is_array()) return;
  for (const auto& call : calls->get_array()) {
    const json::Value* function = json::find(call, "function");
    const json::Value* arguments = function != nullptr ? json::find(*function, "arguments") : nullptr;
    if (arguments != nullptr && !arguments->is_object() && !arguments->is_null())
      wrong(cannot(*arguments, "ChatRequest.messages.tool_calls.function.arguments", "api.ToolCallFunctionArguments"));
  }
}

void Reader::take_message(const json::Value& message) {
  Prompt& prompt = request_.prompt;
  if (!message.is_object()) {
    wrong(cannot(message, "ChatRequest.messages", "api.Message"));
    return;
  }
  std::string role = string_of(message, "role", "ChatRequest.messages");
  std::string content = string_of(message, "content", "ChatRequest.messages");
  note(message);
  take_calls(message);
  if (role != "tool") prompt.results.clear();
  prompt.attachments.clear();
  prompt.text.clear();
  take_images(message);
  if (role == "user") prompt.text = std::move(content);
  if (role == "tool") prompt.results.push_back(std::move(content));
}

void Reader::take_messages(const json::Value& body) {
  const json::Value* messages = json::find(body, "messages");
  request_.load = messages == nullptr || messages->is_null() || (messages->is_array() && messages->get_array().empty());
  if (request_.load) return;
  if (!messages->is_array()) {
    wrong(cannot(*messages, "ChatRequest.messages", "[]api.Message"));
    return;
  }
  for (const auto& message : messages->get_array()) take_message(message);
}

void Reader::take_generate(const json::Value& body) {
  request_.prompt.text = string_of(body, "prompt", "GenerateRequest");
  request_.load = request_.prompt.text.empty();
  string_of(body, "suffix", "GenerateRequest");
  std::string system = string_of(body, "system", "GenerateRequest");
  if (!system.empty()) note(json::Value(system));
  note(json::Value(request_.prompt.text));
  take_images(body);
}

Request Reader::take(const json::Value& body, bool chat) {
  request_.chat = chat;
  request_.model = string_of(body, "model", "ChatRequest");
  if (request_.model.empty()) wrong("model is required");
  take_options(body);
  if (chat) {
    take_tools(body);
    take_messages(body);
  } else {
    take_generate(body);
  }
  return std::move(request_);
}

std::string_view finish_reason(Reply::Finish finish) { return finish == Reply::Finish::length ? "length" : "stop"; }

// Writes a reply as one object or a line for each piece.
class Writer {
 public:
  Writer(const Request& request, const Reply& reply, const Traits& traits, bool counts, bool cached)
      : request_(request), reply_(reply), traits_(traits), counts_(counts), cached_(cached) {}

  json::Object whole() const {
    json::Object message = piece(reply_.content.text, reply_.thoughts.text);
    json::Array calls;
    for (const ToolCall& call : reply_.calls) calls.push_back(call_object(call));
    if (!calls.empty()) message["tool_calls"] = std::move(calls);
    return last(std::move(message));
  }

  std::vector<Frame> frames() const {
    std::vector<Frame> frames;
    auto line = [&](json::Object message) {
      frames.push_back({.name = {}, .data = json::dump(wrapped(std::move(message), false)), .token = true});
    };
    for (std::size_t i = 0; i < reply_.thoughts.ends.size(); ++i) line(piece("", reply_.thoughts.piece(i)));
    for (std::size_t i = 0; i < reply_.content.ends.size(); ++i) line(piece(reply_.content.piece(i), ""));
    json::Array together;
    for (const ToolCall& call : reply_.calls) {
      together.push_back(call_object(call));
      if (traits_.has(Trait::calls_together) && &call != &reply_.calls.back()) continue;
      json::Object message = piece("", "");
      message["tool_calls"] = std::exchange(together, {});
      line(std::move(message));
    }
    if (!traits_.has(Trait::no_done)) frames.push_back({.name = {}, .data = json::dump(last(piece("", "")))});
    return frames;
  }

 private:
  // The arguments are an object, and a call has no id.
  static json::Object call_object(const ToolCall& call) {
    json::Object function = {{"name", call.name}, {"arguments", json::parse(call.arguments).value_or(json::Object())}};
    json::Object object;
    object["function"] = std::move(function);
    return object;
  }

  json::Object piece(std::string_view text, std::string_view thoughts) const {
    json::Object object;
    if (request_.chat) object["role"] = "assistant";
    object[request_.chat ? "content" : "response"] = text;
    if (!thoughts.empty()) object["thinking"] = thoughts;
    return object;
  }

  json::Object wrapped(json::Object message, bool done) const {
    json::Object object = {{"model", request_.model}, {"created_at", kCreated}};
    if (request_.chat) {
      object["message"] = std::move(message);
    } else {
      for (auto& member : message) object[member.key()] = std::move(member.value());
    }
    object["done"] = done;
    return object;
  }

  json::Object last(json::Object message) const {
    json::Object object = wrapped(std::move(message), true);
    if (!traits_.has(Trait::no_finish)) object["done_reason"] = request_.load ? "load" : finish_reason(reply_.finish);
    if (request_.load) return object;
    if (!request_.chat) object["context"] = json::Array({1, 2, 3});
    object["total_duration"] = 5'000'000;
    object["load_duration"] = 1'000'000;
    if (!counts_) return object;
    if (!cached_) object["prompt_eval_count"] = request_.prompt_tokens;
    object["prompt_eval_duration"] = 1'000'000;
    object["eval_count"] = reply_.tokens() + reply_.thought_tokens();
    object["eval_duration"] = 3'000'000;
    return object;
  }

  const Request& request_;
  const Reply& reply_;
  const Traits& traits_;
  bool counts_;
  bool cached_;
};

Answered talk(const Call& call, const json::Value& body, bool chat, Shared& shared) {
  Reader reader(shared.options.seed);
  Request request = reader.take(body, chat);
  if (!reader.mistake().empty()) return refuse(reader.mistake());
  Answer answer;
  answer.model = request.model;
  answer.traits = traits_of(answer.model);
  Reply reply;
  if (!request.load)
    reply = reply_to(request.prompt, answer.traits, shared.options, hash(call.body, shared.options.seed));
  bool cached =
      answer.traits.has(Trait::cache) && shared.prefixes.seen(request.beginnings) == request.beginnings.size();
  Writer writer(request, reply, answer.traits, call.usage, cached);
  if (!request.stream || request.load) {
    answer.bytes = json::dump(writer.whole());
    answer.tokens = static_cast<std::size_t>(reply.tokens());
    return answer;
  }
  answer.content_type = "application/x-ndjson";
  append_frames(answer, writer.frames(), Framing::lines);
  return answer;
}

json::Array vector_of(std::string_view text, std::int64_t size, std::uint64_t seed) {
  json::Array values;
  for (float x : embed_text(text, static_cast<std::size_t>(size), seed)) values.push_back(x);
  return values;
}

// /api/embed, and /api/embeddings that came before it.
Answered embed(const json::Value& body, bool older, std::uint64_t seed) {
  Answer answer;
  answer.model = json::string_or(body, "model", "");
  answer.traits = traits_of(answer.model);
  if (answer.model.empty()) return refuse("model is required");
  std::int64_t size = json::int_or(body, "dimensions", 256);
  if (size < 1 || size > 4096) return refuse("dimensions must be from 1 to 4096");
  if (older) {
    answer.bytes = json::dump(json::Object{{"embedding", vector_of(json::string_or(body, "prompt", ""), size, seed)}});
    return answer;
  }
  const json::Value* input = json::find(body, "input");
  json::Array inputs;
  if (input != nullptr && input->is_string()) inputs.push_back(*input);
  if (input != nullptr && input->is_array()) inputs = input->get_array();
  json::Array vectors;
  for (const auto& item : inputs) {
    if (!item.is_string()) return refuse("invalid input type");
    vectors.push_back(vector_of(std::string_view(item.get_string()), size, seed));
  }
  if (input != nullptr && !input->is_string() && !input->is_array()) return refuse("invalid input type");
  answer.bytes =
      json::dump(json::Object{{"model", answer.model},
                              {"embeddings", std::move(vectors)},
                              {"total_duration", 2'000'000},
                              {"load_duration", 1'000'000},
                              {"prompt_eval_count", input != nullptr ? estimate_tokens(json::dump(*input)) : 0}});
  return answer;
}

json::Object details() {
  return {{"parent_model", ""},     {"format", "gguf"},
          {"family", "mock"},       {"families", json::Array({"mock"})},
          {"parameter_size", "1B"}, {"quantization_level", "Q4_K_M"}};
}

json::Object model_object(std::string_view name) {
  return {{"name", name},
          {"model", name},
          {"modified_at", kCreated},
          {"size", 1'000'000'000},
          {"digest",
           fmt::format("{:016x}{:016x}{:016x}{:016x}", hash(name, 1), hash(name, 2), hash(name, 3), hash(name, 4))},
          {"details", details()}};
}

Answered listing(bool running) {
  json::Array models;
  for (std::string_view name : kModels) {
    json::Object model = model_object(name);
    if (running) {
      model.erase("modified_at");
      model["expires_at"] = "2023-11-14T22:18:20Z";
      model["size_vram"] = 1'000'000'000;
    }
    models.push_back(std::move(model));
    if (running) break;
  }
  json::Object object;
  object["models"] = std::move(models);
  return document(object);
}

Answered show(const json::Value& body) {
  std::string_view name = json::string_or(body, "model", json::string_or(body, "name", ""));
  if (name.empty()) return refuse("model is required");
  Answer answer = document(json::Object{
      {"modelfile", "FROM mock"},
      {"parameters", ""},
      {"template", "{{ .Prompt }}"},
      {"details", details()},
      {"model_info",
       {{"general.architecture", "mock"}, {"mock.context_length", 131'072}, {"mock.embedding_length", 256}}},
      {"capabilities", json::Array({"completion", "tools", "vision", "thinking"})},
      {"modified_at", kCreated}});
  answer.model = name;
  return answer;
}

Answered answer_ollama(const Call& call, Shared& shared) {
  bool get = call.method == "GET" || call.method == "HEAD";
  if (get && call.path == "/api/version") return document(json::Object{{"version", "0.12.0"}});
  if (get && call.path == "/api/tags") return listing(false);
  if (get && call.path == "/api/ps") return listing(true);
  if (call.method != "POST") return refuse("404 page not found", {}, 404);
  auto body = json::parse(call.body);
  if (!body) return refuse(call.body.empty() ? "missing request body" : body.error().detail);
  if (!body->is_object()) return refuse(cannot(*body, "", "api.ChatRequest"));
  std::uint64_t seed = shared.options.seed;
  if (call.path == "/api/chat") return talk(call, *body, true, shared);
  if (call.path == "/api/generate") return talk(call, *body, false, shared);
  if (call.path == "/api/embed") return embed(*body, false, seed);
  if (call.path == "/api/embeddings") return embed(*body, true, seed);
  if (call.path == "/api/show") return show(*body);
  return refuse("404 page not found", {}, 404);
}

std::string error_ollama(const Refusal& refusal) { return json::dump(json::Object{{"error", refusal.message}}); }

std::string stream_error_ollama(const Refusal& refusal, std::string_view) { return error_ollama(refusal) + '\n'; }

std::string fields_ollama(int) { return {}; }

}  // namespace

const Dialect kOllama = {.name = "ollama",
                         .answer = answer_ollama,
                         .error = error_ollama,
                         .stream_error = stream_error_ollama,
                         .fields = fields_ollama,
                         .key = bearer_key};

}  // namespace penstock::mock
