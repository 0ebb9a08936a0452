#include "mock/responses.h"

#include <algorithm>
#include <array>

#include "mock/base64.h"

namespace penstock::mock {
namespace {

constexpr std::string_view kPath = "/v1/responses";

// Writes one reply, whole or as numbered events.
class Writer {
 public:
  Writer(const ResponsesRequest& request, const Reply& reply, const Traits& traits, std::uint64_t key, bool counts,
         std::int64_t cached)
      : request_(request), reply_(reply), traits_(traits), key_(key), counts_(counts), cached_(cached) {}

  std::string id() const { return fmt::format("resp_{:016x}", key_); }

  // `status` queued and in_progress: nothing is there yet.
  json::Object response(std::string_view status) const {
    bool over = status != "in_progress" && status != "queued";
    json::Object object = {{"id", id()},
                           {"object", "response"},
                           {"created_at", 1'700'000'000},
                           {"status", status},
                           {"background", request_.background},
                           {"error", nullptr},
                           {"incomplete_details", nullptr}};
    if (status == "failed")
      object["error"] = {{"code", "server_error"}, {"message", "The mock provider was told to fail."}};
    if (status == "incomplete")
      object["incomplete_details"] = {
          {"reason", reply_.finish == Reply::Finish::filter ? "content_filter" : "max_output_tokens"}};
    object["output"] = over ? items() : json::Array();
    repeat(object);
    object["usage"] = over && counts_ ? json::Value(usage()) : json::Value();
    return object;
  }

  std::string_view end() const {
    if (traits_.has(Trait::failed)) return "failed";
    bool cut = reply_.finish == Reply::Finish::length || reply_.finish == Reply::Finish::filter;
    return cut ? "incomplete" : "completed";
  }

  std::vector<Frame> frames() {
    event("response.created", {{"response", response("in_progress")}});
    event("response.in_progress", {{"response", response("in_progress")}});
    for (const auto& item : items()) item_events(item.get_object());
    if (!traits_.has(Trait::no_done)) event(fmt::format("response.{}", end()), {{"response", response(end())}});
    return std::move(frames_);
  }

 private:
  // What a response says again of its request, or what holds by default.
  void repeat(json::Object& object) const {
    static const json::Object kDefaults = {{"instructions", nullptr},
                                           {"max_output_tokens", nullptr},
                                           {"model", nullptr},
                                           {"parallel_tool_calls", true},
                                           {"previous_response_id", nullptr},
                                           {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                                           {"service_tier", "default"},
                                           {"store", true},
                                           {"temperature", 1.0},
                                           {"text", {{"format", {{"type", "text"}}}}},
                                           {"tool_choice", "auto"},
                                           {"tools", json::Array()},
                                           {"top_p", 1.0},
                                           {"truncation", "disabled"},
                                           {"user", nullptr},
                                           {"metadata", json::Object()}};
    for (const auto& member : kDefaults) {
      const json::Value* given = request_.body.if_contains(member.key());
      object[member.key()] = given != nullptr && !given->is_null() ? *given : member.value();
    }
  }

  json::Object usage() const {
    std::int64_t input = 0;
    for (std::int64_t tokens : request_.tokens) input += tokens;
    std::int64_t output = reply_.tokens() + reply_.thought_tokens();
    return {{"input_tokens", input},
            {"input_tokens_details", {{"cached_tokens", cached_}}},
            {"output_tokens", output},
            {"output_tokens_details", {{"reasoning_tokens", reply_.thought_tokens()}}},
            {"total_tokens", input + output}};
  }

  json::Array items() const {
    json::Array list;
    if (!reply_.thoughts.text.empty()) {
      json::Object item = {{"id", fmt::format("rs_{:016x}", key_)}, {"type", "reasoning"}, {"summary", json::Array()}};
      if (request_.summarize || traits_.has(Trait::think))
        item["summary"] = json::Array{{{"type", "summary_text"}, {"text", reply_.thoughts.text}}};
      if (request_.encrypt) item["encrypted_content"] = base64(fmt::format("mock-reasoning:{:016x}", key_));
      list.push_back(std::move(item));
    }
    bool refuses = reply_.finish == Reply::Finish::refusal;
    if (!reply_.content.text.empty() || reply_.calls.empty()) {
      json::Object part = {{"type", "output_text"},
                           {"text", reply_.content.text},
                           {"annotations", json::Array()},
                           {"logprobs", json::Array()}};
      if (refuses) part = {{"type", "refusal"}, {"refusal", reply_.content.text}};
      json::Array content;
      content.push_back(std::move(part));
      bool whole = end() == "completed";
      list.push_back({{"id", fmt::format("msg_{:016x}", key_)},
                      {"type", "message"},
                      {"status", whole ? "completed" : "incomplete"},
                      {"role", "assistant"},
                      {"content", std::move(content)}});
    }
    for (const ToolCall& call : reply_.calls) {
      list.push_back({{"id", "fc_" + call.id.substr(call.id.find('_') + 1)},
                      {"type", "function_call"},
                      {"status", "completed"},
                      {"call_id", call.id},
                      {"name", call.name},
                      {"arguments", call.arguments}});
    }
    return list;
  }

  void event(std::string_view type, json::Object members, bool token = false) {
    json::Object object = {{"type", type}, {"sequence_number", frames_.size()}};
    for (auto& member : members) object[member.key()] = std::move(member.value());
    frames_.push_back({.name = std::string(type), .data = json::dump(object), .token = token});
  }

  // The members every event about this item has.
  json::Object of_item(const json::Object& item, std::string_view index = {}) const {
    json::Object object = {{"item_id", item.at("id")}, {"output_index", output_}};
    if (!index.empty()) object[index] = 0;
    return object;
  }
  static json::Object with(json::Object object, std::string_view key, auto value) {
    object[key] = std::move(value);
    return object;
  }

  void item_events(const json::Object& item) {
    std::string_view type = item.at("type").as_string();
    json::Object begun = item;
    if (item.contains("status")) begun["status"] = "in_progress";
    if (type == "reasoning") begun["summary"] = json::Array();
    if (type == "message") begun["content"] = json::Array();
    if (type == "function_call") begun["arguments"] = "";
    event("response.output_item.added", {{"output_index", output_}, {"item", std::move(begun)}});
    if (type == "reasoning") summary_events(item);
    if (type == "message") content_events(item);
    if (type == "function_call") call_events(item);
    event("response.output_item.done", {{"output_index", output_}, {"item", item}});
    ++output_;
  }

  void summary_events(const json::Object& item) {
    if (item.at("summary").as_array().empty()) return;
    json::Object base = of_item(item, "summary_index");
    auto part = [](std::string_view text) { return json::Object{{"type", "summary_text"}, {"text", text}}; };
    event("response.reasoning_summary_part.added", with(base, "part", part("")));
    for (std::size_t i = 0; i < reply_.thoughts.ends.size(); ++i)
      event("response.reasoning_summary_text.delta", with(base, "delta", reply_.thoughts.piece(i)), true);
    event("response.reasoning_summary_text.done", with(base, "text", reply_.thoughts.text));
    event("response.reasoning_summary_part.done", with(base, "part", part(reply_.thoughts.text)));
  }

  void content_events(const json::Object& item) {
    const json::Object& part = item.at("content").as_array().front().as_object();
    bool refuses = part.contains("refusal");
    std::string_view text = refuses ? "refusal" : "text";
    std::string name = refuses ? "response.refusal" : "response.output_text";
    json::Object base = of_item(item, "content_index");
    event("response.content_part.added", with(base, "part", with(part, text, "")));
    for (std::size_t i = 0; i < reply_.content.ends.size(); ++i) {
      json::Object delta = with(base, "delta", reply_.content.piece(i));
      if (!refuses) delta["logprobs"] = json::Array();
      event(name + ".delta", std::move(delta), true);
    }
    json::Object done = with(base, text, reply_.content.text);
    if (!refuses) done["logprobs"] = json::Array();
    event(name + ".done", std::move(done));
    event("response.content_part.done", with(base, "part", part));
  }

  void call_events(const json::Object& item) {
    constexpr std::size_t kFragmentBytes = 8;
    json::Object base = of_item(item);
    std::string_view arguments = item.at("arguments").as_string();
    // Some say it only at the end.
    std::string_view rest = traits_.has(Trait::whole_arguments) ? std::string_view() : arguments;
    while (!rest.empty()) {
      std::size_t size = std::min(kFragmentBytes, rest.size());
      while (size < rest.size() && (static_cast<unsigned char>(rest[size]) & 0xC0U) == 0x80U) ++size;
      event("response.function_call_arguments.delta", with(base, "delta", rest.substr(0, size)), true);
      rest.remove_prefix(size);
    }
    json::Object done = with(base, "arguments", arguments);
    done["name"] = item.at("name");
    event("response.function_call_arguments.done", std::move(done));
  }

  const ResponsesRequest& request_;
  const Reply& reply_;
  const Traits& traits_;
  std::uint64_t key_;
  bool counts_;
  std::int64_t cached_;
  int output_ = 0;
  std::vector<Frame> frames_;
};

std::int64_t cached_tokens(const ResponsesRequest& request, PrefixMemory& memory) {
  std::size_t known = memory.seen(request.beginnings);
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < known; ++i) tokens += request.tokens[i];
  return tokens;
}

Answered create(const Call& call, Shared& shared) {
  std::uint64_t seed = shared.options.seed;
  auto request = read_responses(call.body, shared.documents, seed);
  if (!request) return std::unexpected(request.error());
  Answer answer;
  answer.model = request->model;
  answer.traits = traits_of(answer.model);
  answer.changes = true;
  std::uint64_t key = hash(call.body, seed);
  Reply reply = reply_to(request->prompt, answer.traits, shared.options, key);
  bool remembers = answer.traits.has(Trait::cache) || request->body.contains("prompt_cache_key");
  Writer writer(*request, reply, answer.traits, key, call.usage,
                remembers ? cached_tokens(*request, shared.prefixes) : 0);
  json::Object whole = writer.response(writer.end());
  if (request->store) shared.documents.put(writer.id(), {{"response", whole}, {"items", request->items}});
  answer.tokens = static_cast<std::size_t>(reply.tokens());
  if (!request->stream) {
    answer.bytes = json::dump(request->background ? writer.response("queued") : whole);
    return answer;
  }
  answer.content_type = "text/event-stream; charset=utf-8";
  auto frames = writer.frames();
  answer.tokens = 0;
  answer.stream_error = fmt::format(
      "event: error\ndata: "
      R"({{"type":"error","code":"server_error","message":"The mock provider was told to fail in the middle.","param":null,"sequence_number":{}}})"
      "\n\n",
      frames.size());
  append_frames(answer, frames, Framing::sse);
  return answer;
}

Answered count(const Call& call, Shared& shared) {
  auto request = read_responses(call.body, shared.documents, shared.options.seed);
  if (!request) return std::unexpected(request.error());
  std::int64_t tokens = 0;
  for (std::int64_t of_item : request->tokens) tokens += of_item;
  Answer answer = document(json::Object{{"object", "response.input_tokens"}, {"input_tokens", tokens}});
  answer.model = request->model;
  return answer;
}

Answered input_items(const std::string& id, const json::Value& kept) {
  json::Array data;
  for (const auto& item : json::find(kept, "items")->get_array()) {
    json::Value named = item;
    if (json::find(item, "id") == nullptr)
      named.as_object()["id"] = fmt::format("item_{}_{}", id.substr(id.find('_') + 1), data.size());
    data.push_back(std::move(named));
  }
  json::Value first = data.empty() ? json::Value() : *json::find(data.front(), "id");
  json::Value last = data.empty() ? json::Value() : *json::find(data.back(), "id");
  std::ranges::reverse(data);  // the latest first, as is the default
  return document(json::Object{
      {"object", "list"}, {"data", std::move(data)}, {"first_id", last}, {"last_id", first}, {"has_more", false}});
}

}  // namespace

Answered answer_responses(const Call& call, Shared& shared) {
  std::string_view rest = call.path.substr(kPath.size());
  bool post = call.method == "POST";
  if (post && rest.empty()) return create(call, shared);
  if (post && rest == "/input_tokens") return count(call, shared);
  if (rest.empty()) return refuse(fmt::format("Not allowed to {} on {}.", call.method, call.path), {}, 405);
  rest.remove_prefix(1);
  std::string id(rest.substr(0, rest.find('/')));
  std::string_view under = rest.substr(id.size());
  json::Value kept = shared.documents.get(id);
  if (!id.starts_with("resp_") || kept.is_null())
    return refuse(fmt::format("Response with id '{}' not found.", id), {}, 404);
  json::Object& response = kept.as_object()["response"].as_object();
  if (under == "/input_items") return input_items(id, kept);
  if (under == "/cancel" && post) {
    if (!response["background"].as_bool()) return refuse("Cannot cancel a synchronous response.");
    response["status"] = "cancelled";
    shared.documents.put(id, kept);
    return document(response);
  }
  if (!under.empty()) return refuse(fmt::format("Unknown request URL: {} {}.", call.method, call.path), {}, 404);
  if (call.method != "DELETE") return document(response);
  shared.documents.remove(id);
  return document(json::Object{{"id", id}, {"object", "response"}, {"deleted", true}});
}

}  // namespace penstock::mock
