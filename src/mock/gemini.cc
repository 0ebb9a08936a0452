// Gemini's generateContent and its neighbours as Google answers them (ai.google.dev/api).
#include <algorithm>
#include <array>

#include "mock/dialect.h"
#include "mock/embeddings.h"
#include "mock/gemini_request.h"

namespace penstock::mock {
namespace {

constexpr std::array<std::string_view, 3> kModels = {"mock-small", "mock-large", "mock-embedding"};
constexpr std::size_t kDimensions = 256;  // when the request names none

json::Array ratings(bool blocked) {
  return {{{"category", "HARM_CATEGORY_DANGEROUS_CONTENT"},
           {"probability", blocked ? "HIGH" : "NEGLIGIBLE"},
           {"blocked", blocked}}};
}

std::string_view finish_reason(Reply::Finish finish) {
  switch (finish) {
    case Reply::Finish::length: return "MAX_TOKENS";
    case Reply::Finish::refusal:
    case Reply::Finish::filter: return "SAFETY";
    default: return "STOP";
  }
}

// Writes the replies, whole or in chunks that each look like a whole.
class Writer {
 public:
  Writer(const Answer& answer, const GeminiRequest& request, std::vector<Reply> replies, std::uint64_t key,
         std::uint64_t seed, bool counts)
      : answer_(answer), request_(request), replies_(std::move(replies)), key_(key), seed_(seed), counts_(counts) {}

  void cached(std::int64_t tokens) { cached_ = tokens; }

  json::Object whole() const {
    if (blocked()) return feedback();
    json::Array candidates;
    for (std::size_t i = 0; i < replies_.size(); ++i) {
      json::Array parts;
      const Reply& reply = replies_[i];
      if (shows(reply)) parts.push_back(thought(reply.thoughts.text));
      if (!reply.content.text.empty()) {
        parts.push_back(text(reply.content.text));
        if (reply.calls.empty() && thinks(reply)) sign(parts.back(), reply.content.text);
      }
      add_calls(parts, reply);
      candidates.push_back(candidate(i, std::move(parts), reply.finish));
    }
    return response(std::move(candidates), all_tokens());
  }

  std::vector<Frame> frames() const {
    std::vector<Frame> frames;
    if (blocked()) {
      frames.push_back({.name = {}, .data = json::dump(feedback())});
      return frames;
    }
    std::int64_t tokens = 0;
    for (std::size_t i = 0; i < replies_.size(); ++i) stream(i, tokens, frames);
    return frames;
  }

 private:
  bool blocked() const { return replies_.front().finish == Reply::Finish::refusal; }
  static bool thinks(const Reply& reply) { return !reply.thoughts.text.empty(); }
  bool shows(const Reply& reply) const {
    return thinks(reply) && (request_.show_thoughts || answer_.traits.has(Trait::think));
  }
  static json::Value text(std::string_view words) { return {{"text", words}}; }
  static json::Value thought(std::string_view words) { return {{"text", words}, {"thought", true}}; }
  void sign(json::Value& part, std::string_view what) const {
    part.as_object()["thoughtSignature"] = thought_signature(what, seed_);
  }

  // Calls have no id; the first carries the signature of the thoughts before it.
  void add_calls(json::Array& parts, const Reply& reply) const {
    for (const ToolCall& call : reply.calls) {
      json::Object object = {{"name", call.name}, {"args", json::parse(call.arguments).value_or(json::Object())}};
      json::Value part = {{"functionCall", std::move(object)}};
      if (&call == &reply.calls.front() && thinks(reply)) sign(part, call.name);
      parts.push_back(std::move(part));
    }
  }

  static json::Object candidate(std::size_t index, json::Array parts, std::optional<Reply::Finish> finish) {
    json::Object object;
    object["content"] = {{"parts", std::move(parts)}, {"role", "model"}};
    if (finish) {
      object["finishReason"] = finish_reason(*finish);
      object["safetyRatings"] = ratings(*finish == Reply::Finish::filter);
    }
    object["index"] = index;
    return object;
  }

  std::int64_t all_tokens() const {
    std::int64_t tokens = 0;
    for (const Reply& reply : replies_) tokens += reply.tokens();
    return tokens;
  }

  // The words of the answer are counted apart from the thoughts.
  json::Object usage(std::int64_t tokens) const {
    std::int64_t thoughts = 0;
    for (const Reply& reply : replies_) thoughts += reply.thought_tokens();
    json::Object object;
    object["promptTokenCount"] = request_.prompt_tokens;
    if (cached_ > 0) object["cachedContentTokenCount"] = cached_;
    if (tokens > 0) object["candidatesTokenCount"] = tokens;
    if (thoughts > 0) object["thoughtsTokenCount"] = thoughts;
    object["totalTokenCount"] = request_.prompt_tokens + tokens + thoughts;
    object["promptTokensDetails"] = json::Array{{{"modality", "TEXT"}, {"tokenCount", request_.prompt_tokens}}};
    return object;
  }

  json::Object response(json::Array candidates, std::int64_t tokens) const {
    json::Object object;
    object["candidates"] = std::move(candidates);
    if (counts_) object["usageMetadata"] = usage(tokens);
    object["modelVersion"] = answer_.model;
    object["responseId"] = fmt::format("{:016x}", key_);
    return object;
  }

  // The prompt itself was refused: there are no candidates at all.
  json::Object feedback() const {
    json::Object object = response({}, 0);
    object.erase("candidates");
    object["promptFeedback"] = {{"blockReason", "SAFETY"}, {"safetyRatings", ratings(true)}};
    return object;
  }

  void stream(std::size_t index, std::int64_t& tokens, std::vector<Frame>& frames) const {
    const Reply& reply = replies_[index];
    auto chunk = [&](json::Array parts, std::optional<Reply::Finish> finish, bool token) {
      json::Object object = response({candidate(index, std::move(parts), finish)}, tokens);
      frames.push_back({.name = {}, .data = json::dump(object), .token = token});
    };
    for (std::size_t i = 0; shows(reply) && i < reply.thoughts.ends.size(); ++i)
      chunk({thought(reply.thoughts.piece(i))}, {}, true);
    for (std::size_t i = 0; i < reply.content.ends.size(); ++i) {
      ++tokens;
      chunk({text(reply.content.piece(i))}, {}, true);
    }
    json::Array last;
    add_calls(last, reply);
    tokens += reply.tokens() - static_cast<std::int64_t>(reply.content.ends.size());
    bool called = !last.empty();
    if (!called) {
      last.push_back(text(""));
      if (thinks(reply)) sign(last.back(), reply.content.text);
    }
    bool told = !answer_.traits.has(Trait::no_finish);
    chunk(std::move(last), told ? std::optional(reply.finish) : std::nullopt, called);
  }

  const Answer& answer_;
  const GeminiRequest& request_;
  std::vector<Reply> replies_;
  std::uint64_t key_;
  std::uint64_t seed_;
  bool counts_;
  std::int64_t cached_ = 0;
};

// Tokens of the beginning that was seen before.
std::int64_t cached_tokens(const json::Value& body, const GeminiRequest& request, PrefixMemory& memory) {
  std::size_t known = memory.seen(request.beginnings);
  std::int64_t tokens = 0;
  const json::Value* contents = json::find(body, "contents");
  for (std::size_t i = 0; i < known && contents != nullptr && contents->is_array(); ++i)
    tokens += estimate_tokens(json::dump(contents->get_array()[i]));
  return std::min(tokens, request.prompt_tokens);
}

Answered generate(const Call& call, const json::Value& body, Answer answer, Shared& shared, bool streams) {
  std::uint64_t seed = shared.options.seed;
  auto request = read_gemini(body, seed);
  if (!request) return std::unexpected(request.error());
  std::uint64_t key = hash(call.body, seed);
  Random random(key);
  std::vector<Reply> replies;
  for (std::int64_t i = 0; i < request->candidates; ++i)
    replies.push_back(reply_to(request->prompt, answer.traits, shared.options, random.next()));
  Answer head = answer;
  Writer writer(head, *request, std::move(replies), key, seed, call.usage);
  if (request->cached) writer.cached(100);
  if (answer.traits.has(Trait::cache)) writer.cached(cached_tokens(body, *request, shared.prefixes));
  if (!streams) {
    answer.bytes = json::dump(writer.whole());
    return answer;
  }
  bool events = http::query_value(call.query, "alt") == "sse";
  answer.content_type = events ? "text/event-stream" : "application/json; charset=UTF-8";
  append_frames(answer, writer.frames(), events ? Framing::sse : Framing::array);
  return answer;
}

Answered count(const json::Value& body, Answer answer, std::uint64_t seed) {
  const json::Value* inner = json::find(body, "generateContentRequest");
  auto request = read_gemini(inner != nullptr ? *inner : body, seed);
  if (!request) return std::unexpected(request.error());
  answer.bytes = json::dump(json::Object{
      {"totalTokens", request->prompt_tokens},
      {"promptTokensDetails", json::Array{{{"modality", "TEXT"}, {"tokenCount", request->prompt_tokens}}}}});
  return answer;
}

std::expected<json::Value, Refusal> embedding(const json::Value& request, std::uint64_t seed) {
  constexpr std::array<std::string_view, 9> kNames = {"model",
                                                      "content",
                                                      "taskType",
                                                      "task_type",
                                                      "title",
                                                      "outputDimensionality",
                                                      "output_dimensionality",
                                                      "embedContentConfig",
                                                      "autoTruncate"};
  if (!request.is_object()) return refuse("Invalid JSON payload received.");
  for (const auto& member : request.get_object()) {
    if (std::ranges::find(kNames, std::string_view(member.key())) == kNames.end())
      return refuse(fmt::format("Invalid JSON payload received. Unknown name \"{}\": Cannot find field.",
                                std::string_view(member.key())));
  }
  const json::Value* content = json::find(request, "content");
  const json::Value* parts = content != nullptr ? json::find(*content, "parts") : nullptr;
  if (parts == nullptr || !parts->is_array() || parts->get_array().empty())
    return refuse("* EmbedContentRequest.content: contents is not specified");
  std::string text;
  for (const auto& part : parts->get_array()) text += json::string_or(part, "text", "");
  std::int64_t size =
      json::int_or(request, "outputDimensionality",
                   json::int_or(request, "output_dimensionality", static_cast<std::int64_t>(kDimensions)));
  if (size < 1 || size > 4096) return refuse("output_dimensionality must be from 1 to 4096");
  json::Array values;
  for (float x : embed_text(text, static_cast<std::size_t>(size), seed)) values.push_back(x);
  return json::Value(json::Object{{"values", std::move(values)}});
}

Answered embed(const json::Value& body, Answer answer, std::uint64_t seed) {
  auto vector = embedding(body, seed);
  if (!vector) return std::unexpected(vector.error());
  answer.bytes = json::dump(json::Object{{"embedding", std::move(*vector)}});
  return answer;
}

Answered embed_all(const json::Value& body, Answer answer, std::uint64_t seed) {
  const json::Value* requests = json::find(body, "requests");
  if (requests == nullptr || !requests->is_array() || requests->get_array().empty())
    return refuse("* BatchEmbedContentsRequest.requests: requests is not specified");
  json::Array vectors;
  for (const auto& request : requests->get_array()) {
    if (json::string_or(request, "model", "").empty())
      return refuse("* BatchEmbedContentsRequest.requests[0].model: unexpected model name format");
    auto vector = embedding(request, seed);
    if (!vector) return std::unexpected(vector.error());
    vectors.push_back(std::move(*vector));
  }
  answer.bytes = json::dump(json::Object{{"embeddings", std::move(vectors)}});
  return answer;
}

json::Value model_object(std::string_view name) {
  return {{"name", fmt::format("models/{}", name)},
          {"version", "1"},
          {"displayName", name},
          {"inputTokenLimit", 1'048'576},
          {"outputTokenLimit", 65'536},
          {"supportedGenerationMethods", json::Array{"generateContent", "streamGenerateContent", "countTokens",
                                                     "embedContent", "batchEmbedContents"}}};
}

Answered models(std::string_view name) {
  if (name == "missing-model") return refuse("models/missing-model is not found for API version v1beta.", {}, 404);
  if (!name.empty()) return document(model_object(name));
  json::Array list;
  for (std::string_view known : kModels) list.push_back(model_object(known));
  return document({{"models", std::move(list)}});
}

Answered answer_gemini(const Call& call, Shared& shared) {
  constexpr std::string_view kModelsFolder = "/models";
  std::size_t at = call.path.find(kModelsFolder);
  if (at == std::string_view::npos) return refuse("Not Found", {}, 404);
  std::string rest = http::percent_decode(call.path.substr(at + kModelsFolder.size()));
  if (rest.starts_with('/')) rest.erase(0, 1);
  std::size_t colon = rest.rfind(':');
  if (call.method == "GET" && colon == std::string::npos) return models(rest);
  if (call.method != "POST" || colon == std::string::npos) return refuse("Method not allowed.", {}, 404);
  auto body = json::parse(call.body);
  if (!body) return refuse(fmt::format("Invalid JSON payload received. {}", body.error().detail));
  Answer answer;
  answer.model = rest.substr(0, colon);
  answer.traits = traits_of(answer.model);
  std::string method = rest.substr(colon + 1);
  std::uint64_t seed = shared.options.seed;
  if (method == "generateContent") return generate(call, *body, std::move(answer), shared, false);
  if (method == "streamGenerateContent") return generate(call, *body, std::move(answer), shared, true);
  if (method == "countTokens") return count(*body, std::move(answer), seed);
  if (method == "embedContent") return embed(*body, std::move(answer), seed);
  if (method == "batchEmbedContents") return embed_all(*body, std::move(answer), seed);
  return refuse(fmt::format("The method {} is not known.", method), {}, 404);
}

struct StatusName {
  int status;
  std::string_view name;
};
constexpr std::array kStatusNames = {StatusName{400, "INVALID_ARGUMENT"},  StatusName{401, "UNAUTHENTICATED"},
                                     StatusName{403, "PERMISSION_DENIED"}, StatusName{404, "NOT_FOUND"},
                                     StatusName{409, "ABORTED"},           StatusName{429, "RESOURCE_EXHAUSTED"},
                                     StatusName{499, "CANCELLED"},         StatusName{501, "UNIMPLEMENTED"},
                                     StatusName{503, "UNAVAILABLE"},       StatusName{504, "DEADLINE_EXCEEDED"}};

std::string error_gemini(const Refusal& refusal) {
  std::string_view name = refusal.status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT";
  for (const StatusName& known : kStatusNames) {
    if (known.status == refusal.status) name = known.name;
  }
  json::Object error = {{"code", refusal.status}, {"message", refusal.message}, {"status", name}};
  if (refusal.status == 429) {
    error["details"] = json::Array{{{"@type", "type.googleapis.com/google.rpc.RetryInfo"}, {"retryDelay", "1s"}}};
  }
  return json::dump(json::Object{{"error", std::move(error)}});
}

std::string stream_error_gemini(const Refusal& refusal, std::string_view content_type) {
  std::string error = error_gemini(refusal);
  if (content_type.starts_with("text/event-stream")) return fmt::format("data: {}\n\n", error);
  return fmt::format(",\r\n{}]", error);
}

std::string fields_gemini(int) { return {}; }

std::string key_gemini(const http::Request& request) {
  std::string key(request.field("x-goog-api-key"));
  if (key.empty()) key = http::query_value(request.query, "key");
  return key.empty() ? bearer_key(request) : key;
}

}  // namespace

const Dialect kGemini = {.name = "gemini",
                         .answer = answer_gemini,
                         .error = error_gemini,
                         .stream_error = stream_error_gemini,
                         .fields = fields_gemini,
                         .key = key_gemini};

}  // namespace penstock::mock
