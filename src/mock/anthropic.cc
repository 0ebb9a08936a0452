// Anthropic's Messages API as a provider of it answers (docs.anthropic.com).
#include <algorithm>
#include <array>

#include "mock/anthropic_request.h"
#include "mock/dialect.h"

namespace penstock::mock {
namespace {

constexpr std::array<std::string_view, 2> kModels = {"mock-small", "mock-large"};
constexpr std::string_view kBatchPath = "/v1/messages/batches";

struct Usage {
  std::int64_t input = 0;  // what neither came from the cache nor went to it
  std::int64_t read = 0;
  std::int64_t written = 0;       // to be kept five minutes
  std::int64_t written_hour = 0;  // an hour
  std::int64_t output = 0;
};

json::Object usage_object(const Usage& usage, std::int64_t output) {
  json::Object object;
  object["input_tokens"] = usage.input;
  object["cache_creation_input_tokens"] = usage.written + usage.written_hour;
  object["cache_read_input_tokens"] = usage.read;
  object["cache_creation"] = {{"ephemeral_5m_input_tokens", usage.written},
                              {"ephemeral_1h_input_tokens", usage.written_hour}};
  object["output_tokens"] = output;
  object["service_tier"] = "standard";
  return object;
}

// The longest beginning that ends at a breakpoint and was seen before is read; what follows it up to the last
// breakpoint is written; the rest is input.
Usage count_usage(const AnthropicRequest& request, bool always, PrefixMemory& memory) {
  std::vector<std::uint64_t> marks;
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < request.pieces.size(); ++i) {
    bool last = i + 1 == request.pieces.size();
    if (!request.pieces[i].breakpoint && !(always && last)) continue;
    marks.push_back(request.pieces[i].hash);
    ends.push_back(i + 1);
  }
  std::size_t known = memory.seen(marks);
  std::size_t read_end = known > 0 ? ends[known - 1] : 0;
  std::size_t write_end = ends.empty() ? 0 : ends.back();
  Usage usage;
  usage.input = 3;
  for (std::size_t i = 0; i < request.pieces.size(); ++i) {
    auto at = std::ranges::find_if(request.pieces.begin() + static_cast<std::ptrdiff_t>(i), request.pieces.end(),
                                   [](const auto& piece) { return piece.breakpoint; });
    bool hour = at != request.pieces.end() && at->hour;
    std::int64_t& counter = i < read_end     ? usage.read
                            : i >= write_end ? usage.input
                            : hour           ? usage.written_hour
                                             : usage.written;
    counter += request.pieces[i].tokens;
  }
  return usage;
}

std::string_view stop_reason(Reply::Finish finish) {
  switch (finish) {
    case Reply::Finish::stop_string: return "stop_sequence";
    case Reply::Finish::length: return "max_tokens";
    case Reply::Finish::calls: return "tool_use";
    case Reply::Finish::refusal:
    case Reply::Finish::filter: return "refusal";
    case Reply::Finish::stop: break;
  }
  return "end_turn";
}

std::string call_id(const ToolCall& call) { return "toolu_" + call.id.substr(call.id.find('_') + 1); }

// Writes one reply, plain or as a stream: the same blocks in the same order.
class Writer {
 public:
  Writer(const AnthropicRequest& request, const Reply& reply, const Traits& traits, Usage usage, std::uint64_t key,
         std::uint64_t seed)
      : request_(request), reply_(reply), traits_(traits), usage_(usage), key_(key), seed_(seed) {}

  json::Object message(bool whole) const {
    json::Object object;
    object["id"] = fmt::format("msg_{:016x}", key_);
    object["type"] = "message";
    object["role"] = "assistant";
    object["model"] = request_.model;
    object["content"] = whole ? content() : json::Array();
    object["stop_reason"] = whole ? json::Value(stop_reason(reply_.finish)) : json::Value();
    object["stop_sequence"] = whole ? met() : json::Value();
    if (counts_) object["usage"] = usage_object(usage_, whole ? usage_.output : 1);
    return object;
  }

  std::vector<Frame> frames() {
    event("message_start", {{"message", message(false)}});
    if (traits_.has(Trait::redacted)) {
      start(redacted());
      stop();
    } else if (!reply_.thoughts.text.empty()) {
      thoughts();
    }
    if (!reply_.content.ends.empty()) {
      start({{"type", "text"}, {"text", ""}});
      for (std::size_t i = 0; i < reply_.content.ends.size(); ++i)
        delta({{"type", "text_delta"}, {"text", reply_.content.piece(i)}});
      stop();
    }
    for (const ToolCall& call : reply_.calls) calls(call);
    json::Object last = {{"delta", {{"stop_reason", stop_reason(reply_.finish)}, {"stop_sequence", met()}}}};
    if (counts_) last["usage"] = usage_object(usage_, usage_.output);
    event("message_delta", std::move(last));
    if (!traits_.has(Trait::no_done)) event("message_stop", {});
    return std::move(frames_);
  }

  void leave_usage_out() { counts_ = false; }

 private:
  json::Value met() const { return reply_.stop_string.empty() ? json::Value() : json::Value(reply_.stop_string); }
  json::Object redacted() const { return {{"type", "redacted_thinking"}, {"data", redact_thoughts(seed_)}}; }
  std::string_view shown_thoughts() const {
    return request_.hide_thoughts ? "" : std::string_view(reply_.thoughts.text);
  }

  json::Array content() const {
    json::Array blocks;
    if (traits_.has(Trait::redacted)) {
      blocks.push_back(redacted());
    } else if (!reply_.thoughts.text.empty()) {
      blocks.push_back({{"type", "thinking"},
                        {"thinking", shown_thoughts()},
                        {"signature", sign_thoughts(reply_.thoughts.text, seed_)}});
    }
    if (!reply_.content.text.empty()) blocks.push_back({{"type", "text"}, {"text", reply_.content.text}});
    for (const ToolCall& call : reply_.calls) {
      blocks.push_back({{"type", "tool_use"},
                        {"id", call_id(call)},
                        {"name", call.name},
                        {"input", json::parse(call.arguments).value_or(json::Object())}});
    }
    return blocks;
  }

  void event(std::string_view type, json::Object members, bool token = false) {
    json::Object object = {{"type", type}};
    for (auto& member : members) object[member.key()] = std::move(member.value());
    frames_.push_back({.name = std::string(type), .data = json::dump(object), .token = token});
  }
  void start(json::Object block) {
    event("content_block_start", {{"index", index_}, {"content_block", std::move(block)}});
    if (index_ == 0) event("ping", {});
  }
  void delta(json::Object change, bool token = true) {
    event("content_block_delta", {{"index", index_}, {"delta", std::move(change)}}, token);
  }
  void stop() { event("content_block_stop", {{"index", index_++}}); }

  void thoughts() {
    start({{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
    for (std::size_t i = 0; i < reply_.thoughts.ends.size() && !request_.hide_thoughts; ++i)
      delta({{"type", "thinking_delta"}, {"thinking", reply_.thoughts.piece(i)}});
    delta({{"type", "signature_delta"}, {"signature", sign_thoughts(reply_.thoughts.text, seed_)}}, false);
    stop();
  }

  void calls(const ToolCall& call) {
    constexpr std::size_t kFragmentBytes = 8;
    start({{"type", "tool_use"}, {"id", call_id(call)}, {"name", call.name}, {"input", json::Object()}});
    delta({{"type", "input_json_delta"}, {"partial_json", ""}}, false);
    // A call without arguments says nothing of them.
    std::string_view rest = call.arguments == "{}" ? std::string_view() : call.arguments;
    while (!rest.empty()) {
      std::size_t size = traits_.has(Trait::whole_arguments) ? rest.size() : std::min(kFragmentBytes, rest.size());
      while (size < rest.size() && (static_cast<unsigned char>(rest[size]) & 0xC0U) == 0x80U) ++size;
      delta({{"type", "input_json_delta"}, {"partial_json", rest.substr(0, size)}});
      rest.remove_prefix(size);
    }
    stop();
  }

  const AnthropicRequest& request_;
  const Reply& reply_;
  const Traits& traits_;
  Usage usage_;
  std::uint64_t key_;
  std::uint64_t seed_;
  bool counts_ = true;
  int index_ = 0;
  std::vector<Frame> frames_;
};

Answered messages(const Call& call, Shared& shared) {
  std::uint64_t seed = shared.options.seed;
  auto request = read_anthropic(call.body, seed, false);
  if (!request) return std::unexpected(request.error());
  Answer answer;
  answer.model = request->model;
  answer.traits = traits_of(answer.model);
  std::uint64_t key = hash(call.body, seed);
  Reply reply = reply_to(request->prompt, answer.traits, shared.options, key);
  Usage usage = count_usage(*request, answer.traits.has(Trait::cache), shared.prefixes);
  usage.output = reply.tokens() + reply.thought_tokens();
  Writer writer(*request, reply, answer.traits, usage, key, seed);
  if (!call.usage) writer.leave_usage_out();
  if (request->stream) {
    answer.content_type = "text/event-stream; charset=utf-8";
    append_frames(answer, writer.frames(), Framing::sse);
  } else {
    answer.bytes = json::dump(writer.message(true));
    answer.tokens = static_cast<std::size_t>(usage.output);
  }
  return answer;
}

Answered count_tokens(const Call& call, Shared& shared) {
  auto request = read_anthropic(call.body, shared.options.seed, true);
  if (!request) return std::unexpected(request.error());
  std::int64_t tokens = 3;
  for (const auto& piece : request->pieces) tokens += piece.tokens;
  Answer answer = document({{"input_tokens", tokens}});
  answer.model = request->model;
  answer.traits = traits_of(answer.model);
  return answer;
}

json::Value model_object(std::string_view id) {
  return {{"type", "model"}, {"id", id}, {"display_name", id}, {"created_at", "2023-11-14T22:13:20Z"}};
}

Answered models(std::string_view id) {
  if (id == "missing-model") return refuse("model: missing-model", {}, 404);
  if (!id.empty()) return document(model_object(id));
  json::Array data;
  for (std::string_view name : kModels) data.push_back(model_object(name));
  return document(
      {{"data", std::move(data)}, {"has_more", false}, {"first_id", kModels.front()}, {"last_id", kModels.back()}});
}

// Batches are done as soon as they are made.
json::Object batch_object(const std::string& id, std::size_t requests) {
  return {
      {"id", id},
      {"type", "message_batch"},
      {"processing_status", "ended"},
      {"request_counts", {{"processing", 0}, {"succeeded", requests}, {"errored", 0}, {"canceled", 0}, {"expired", 0}}},
      {"created_at", "2023-11-14T22:13:20Z"},
      {"ended_at", "2023-11-14T22:13:20Z"},
      {"expires_at", "2023-11-15T22:13:20Z"},
      {"archived_at", nullptr},
      {"cancel_initiated_at", nullptr},
      {"results_url", fmt::format("{}/{}/results", kBatchPath, id)}};
}

Answered make_batch(const Call& call, Shared& shared) {
  auto body = json::parse(call.body);
  const json::Value* requests = body ? json::find(*body, "requests") : nullptr;
  if (requests == nullptr || !requests->is_array() || requests->get_array().empty())
    return refuse("requests: Field required");
  json::Array results;
  for (const auto& request : requests->get_array()) {
    const json::Value* params = json::find(request, "params");
    std::string inner = params != nullptr ? json::dump(*params) : "{}";
    Call one = call;
    one.body = inner;
    auto answered = messages(one, shared);
    json::Object result;
    if (answered) {
      result = {{"type", "succeeded"}, {"message", json::parse(answered->bytes).value_or(nullptr)}};
    } else {
      result = {{"type", "errored"}, {"error", json::parse(kAnthropic.error(answered.error())).value_or(nullptr)}};
    }
    results.push_back({{"custom_id", json::string_or(request, "custom_id", "")}, {"result", std::move(result)}});
  }
  std::string id = fmt::format("msgbatch_{:016x}", shared.documents.next_number());
  json::Object batch = batch_object(id, results.size());
  shared.documents.put(id, {{"batch", batch}, {"results", std::move(results)}});
  return document(batch);
}

Answered batch_results(const json::Value& kept) {
  Answer answer;
  answer.content_type = "application/x-jsonl";
  for (const auto& result : json::find(kept, "results")->get_array()) answer.bytes += json::dump(result) + '\n';
  return answer;
}

Answered batches(const Call& call, Shared& shared) {
  std::string_view rest = call.path.substr(kBatchPath.size());
  if (rest.empty() && call.method == "POST") return make_batch(call, shared);
  if (rest.empty()) {
    json::Array data;
    for (const json::Value& kept : shared.documents.all("msgbatch_")) data.push_back(*json::find(kept, "batch"));
    json::Value first = data.empty() ? json::Value() : *json::find(data.front(), "id");
    json::Value last = data.empty() ? json::Value() : *json::find(data.back(), "id");
    return document({{"data", std::move(data)}, {"has_more", false}, {"first_id", first}, {"last_id", last}});
  }
  rest.remove_prefix(1);
  std::string id(rest.substr(0, rest.find('/')));
  json::Value kept = shared.documents.get(id);
  if (!id.starts_with("msgbatch_") || kept.is_null()) return refuse(fmt::format("Batch {} not found", id), {}, 404);
  if (rest.ends_with("/results")) return batch_results(kept);
  if (call.method == "DELETE") {
    shared.documents.remove(id);
    return document({{"id", id}, {"type", "message_batch_deleted"}});
  }
  return document(*json::find(kept, "batch"));
}

Answered answer_anthropic(const Call& call, Shared& shared) {
  constexpr std::string_view kModelsPath = "/v1/models";
  if (call.request->field("anthropic-version").empty()) return refuse("anthropic-version: header is required");
  if (call.path.starts_with(kBatchPath)) return batches(call, shared);
  if (call.path.starts_with(kModelsPath) && call.method == "GET") {
    std::string_view id = call.path.substr(kModelsPath.size());
    return models(id.substr(std::min<std::size_t>(id.size(), 1)));
  }
  bool counting = call.path == "/v1/messages/count_tokens";
  if (!counting && call.path != "/v1/messages") return refuse("Not found", {}, 404);
  if (call.method != "POST") return refuse("Method Not Allowed", {}, 405);
  return counting ? count_tokens(call, shared) : messages(call, shared);
}

struct ErrorType {
  int status;
  std::string_view type;
};
constexpr std::array kErrorTypes = {ErrorType{401, "authentication_error"}, ErrorType{402, "billing_error"},
                                    ErrorType{403, "permission_error"},     ErrorType{404, "not_found_error"},
                                    ErrorType{413, "request_too_large"},    ErrorType{429, "rate_limit_error"},
                                    ErrorType{504, "timeout_error"},        ErrorType{529, "overloaded_error"}};
constexpr std::string_view kRequestId = "req_mock";

std::string error_anthropic(const Refusal& refusal) {
  std::string_view type = refusal.status >= 500 ? "api_error" : "invalid_request_error";
  for (const ErrorType& known : kErrorTypes) {
    if (known.status == refusal.status) type = known.type;
  }
  json::Object object = {
      {"type", "error"}, {"error", {{"type", type}, {"message", refusal.message}}}, {"request_id", kRequestId}};
  return json::dump(object);
}

std::string stream_error_anthropic(const Refusal& refusal, std::string_view) {
  Refusal overloaded = refusal;
  overloaded.status = 529;
  return fmt::format("event: error\ndata: {}\n\n", error_anthropic(overloaded));
}

std::string fields_anthropic(int status) {
  std::string fields = fmt::format("request-id: {}\r\n", kRequestId);
  if (status != 200 && status != 429) return fields;
  int left = status == 429 ? 0 : 999;
  for (std::string_view what : {"requests", "tokens", "input-tokens", "output-tokens"}) {
    fields += fmt::format(
        "anthropic-ratelimit-{0}-limit: 1000\r\nanthropic-ratelimit-{0}-remaining: {1}\r\n"
        "anthropic-ratelimit-{0}-reset: 2023-11-14T22:14:20Z\r\n",
        what, left);
  }
  if (status == 429) fields += "retry-after: 1\r\n";
  return fields;
}

std::string key_anthropic(const http::Request& request) {
  std::string_view key = request.field("x-api-key");
  return key.empty() ? bearer_key(request) : std::string(key);
}

}  // namespace

const Dialect kAnthropic = {.name = "anthropic",
                            .answer = answer_anthropic,
                            .error = error_anthropic,
                            .stream_error = stream_error_anthropic,
                            .fields = fields_anthropic,
                            .key = key_anthropic};

}  // namespace penstock::mock
