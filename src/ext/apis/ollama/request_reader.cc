#include "ext/apis/ollama/request_reader.h"

#include "chat/effort.h"
#include "ext/apis/ollama/message_reader.h"

namespace penstock::ext {
namespace {

constexpr std::int64_t kTopLogprobsMax = 20;

void read_options(ObjectReader& body, chat::Request& request) {
  const json::Value* options = body.get("options");
  if (options == nullptr) return;
  ObjectReader in(*options, body.path("options."), body.findings());
  // Not more than 0 means without a limit (-1) or up to the end of the context (-2), which is what others do anyway.
  if (auto most = in.integer("num_predict"); most && *most > 0) request.max_output_tokens = most;
  request.temperature = in.number("temperature");
  request.top_p = in.number("top_p");
  request.min_p = in.number("min_p");
  request.frequency_penalty = in.number("frequency_penalty");
  request.presence_penalty = in.number("presence_penalty");
  request.repeat_penalty = in.number("repeat_penalty");
  request.top_k = in.integer("top_k");
  request.seed = in.integer("seed");
  request.stop = in.texts("stop");
  in.done();
}

void read_format(ObjectReader& body, chat::OutputFormat& format) {
  const json::Value* value = body.get("format");
  if (value == nullptr) return;
  using Kind = chat::OutputFormat::Kind;
  if (value->is_object()) {
    format.kind = Kind::schema;
    format.schema = *value;
  } else if (*value == "json") {
    format.kind = Kind::json;
  } else if (*value != "") {
    body.mistake("format", "must be \"json\" or a JSON schema");
  }
}

// Whoever lets an Ollama model think gets to see what.
void read_think(ObjectReader& body, chat::Reasoning& reasoning) {
  const json::Value* value = body.get("think");
  if (value == nullptr) return;
  if (value->is_bool()) {
    reasoning.on = value->get_bool();
  } else if (*value == "low" || *value == "medium" || *value == "high" || *value == "max") {
    reasoning.effort = value->get_string();
  } else {
    body.mistake("think", "must be true, false, \"low\", \"medium\", \"high\" or \"max\"");
  }
  if (!chat::is_off(reasoning)) reasoning.show = true;
}

void read_logprobs(ObjectReader& body, chat::Request& request) {
  request.logprobs = body.boolean("logprobs");
  request.top_logprobs = body.integer("top_logprobs");
  if (request.top_logprobs && (*request.top_logprobs < 0 || *request.top_logprobs > kTopLogprobsMax))
    body.mistake("top_logprobs", "must be from 0 to 20");
}

// What both bodies have.
void read_shared(ObjectReader& body, chat::Request& request) {
  request.model = body.text("model");
  if (request.model.empty()) body.mistake("model", "must be the name of a model");
  request.stream = body.boolean("stream").value_or(true);
  read_format(body, request.format);
  read_think(body, request.reasoning);
  read_options(body, request);
  read_logprobs(body, request);
}

void read_prompt(ObjectReader& body, chat::Request& request) {
  if (std::string system = body.text("system"); !system.empty()) {
    chat::Message message{.role = chat::Role::system};
    message.parts.push_back({.content = chat::Text{std::move(system)}});
    request.messages.push_back(std::move(message));
  }
  chat::Message message{.role = chat::Role::user};
  std::vector<chat::Media> images;
  read_ollama_images(body, images);
  std::string prompt = body.text("prompt");
  if (prompt.empty()) body.mistake("prompt", "must be a text");
  message.parts.push_back({.content = chat::Text{std::move(prompt)}});
  for (chat::Media& image : images) message.parts.push_back({.content = std::move(image)});
  request.messages.push_back(std::move(message));
  if (body.boolean("raw").value_or(false)) body.findings().unread.push_back("raw");
  if (!body.text("suffix").empty())
    body.mistake("suffix", "only a provider of the type ollama can fill in the text before it");
}

template <class Read>
Result<chat::Request> read_body(std::string_view body, Read read) {
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(parsed.error());
  ObjectReader::Findings findings;
  ObjectReader in(*parsed, "", findings);
  chat::Request request;
  read_shared(in, request);
  read(in, request);
  in.done();
  if (findings.mistake) return std::unexpected(std::move(*findings.mistake));
  request.unread = std::move(findings.unread);
  return request;
}

}  // namespace

Result<chat::Request> read_ollama_chat(std::string_view body) {
  return read_body(body, [](ObjectReader& in, chat::Request& request) {
    read_ollama_messages(in, request.messages);
    read_ollama_tools(in, request.tools);
  });
}

Result<chat::Request> read_ollama_generate(std::string_view body) { return read_body(body, read_prompt); }

}  // namespace penstock::ext
