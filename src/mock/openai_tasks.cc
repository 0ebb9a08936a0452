#include "mock/openai_tasks.h"

#include <algorithm>
#include <array>

#include "mock/conversation.h"
#include "mock/embeddings.h"

namespace penstock::mock {
namespace {

constexpr std::int64_t kCreated = 1'700'000'000;

std::expected<json::Value, Refusal> object_of(const Call& call) {
  auto body = json::parse(call.body);
  if (!body || !body->is_object()) return refuse("We could not parse the JSON body of your request.");
  return std::move(*body);
}

Answer answered(const json::Value& body, const json::Value& value) {
  Answer answer = document(value);
  answer.model = json::string_or(body, "model", "");
  answer.traits = traits_of(answer.model);
  return answer;
}

json::Value verdict(std::string_view text) {
  constexpr std::array<std::string_view, 13> kCategories = {"harassment",
                                                            "harassment/threatening",
                                                            "hate",
                                                            "hate/threatening",
                                                            "illicit",
                                                            "illicit/violent",
                                                            "self-harm",
                                                            "self-harm/intent",
                                                            "self-harm/instructions",
                                                            "sexual",
                                                            "sexual/minors",
                                                            "violence",
                                                            "violence/graphic"};
  bool flagged = text.find("violence") != std::string_view::npos;
  json::Object categories;
  json::Object scores;
  json::Object types;
  for (std::string_view name : kCategories) {
    bool hit = flagged && name == "violence";
    categories[name] = hit;
    scores[name] = hit ? 0.99 : 0.01;
    types[name] = json::Array({"text"});
  }
  return json::Object{{"flagged", flagged},
                      {"categories", std::move(categories)},
                      {"category_scores", std::move(scores)},
                      {"category_applied_input_types", std::move(types)}};
}

// A document to rank is text, or an object that has some.
std::string_view text_of(const json::Value& item) {
  return item.is_string() ? std::string_view(item.get_string()) : json::string_or(item, "text", "");
}

double likeness(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

Answered make_batch(const Call& call, Shared& shared) {
  auto body = object_of(call);
  if (!body) return std::unexpected(body.error());
  for (std::string_view name : {"input_file_id", "endpoint", "completion_window"}) {
    if (json::string_or(*body, name, "").empty())
      return refuse(fmt::format("Missing required parameter: '{}'.", name), name);
  }
  const json::Value* metadata = json::find(*body, "metadata");
  std::string id = fmt::format("batch_{:016x}", shared.documents.next_number());
  json::Object batch = {{"id", id},
                        {"object", "batch"},
                        {"endpoint", json::string_or(*body, "endpoint", "")},
                        {"errors", nullptr},
                        {"input_file_id", json::string_or(*body, "input_file_id", "")},
                        {"completion_window", json::string_or(*body, "completion_window", "")},
                        {"status", "in_progress"},
                        {"output_file_id", nullptr},
                        {"error_file_id", nullptr},
                        {"created_at", kCreated},
                        {"in_progress_at", kCreated},
                        {"expires_at", kCreated + 86'400},
                        {"request_counts", {{"total", 0}, {"completed", 0}, {"failed", 0}}},
                        {"metadata", metadata != nullptr ? *metadata : json::Value()}};
  shared.documents.put(id, batch);
  return document(batch);
}

}  // namespace

Answered moderate(const Call& call, Shared&) {
  auto body = object_of(call);
  if (!body) return std::unexpected(body.error());
  const json::Value* input = json::find(*body, "input");
  if (input == nullptr || (!input->is_string() && !input->is_array())) return refuse("'input' is required.", "input");
  json::Array results;
  if (input->is_string()) results.push_back(verdict(input->get_string()));
  if (input->is_array()) {
    for (const auto& item : input->get_array()) results.push_back(verdict(text_of(item)));
  }
  std::string_view model = json::string_or(*body, "model", "mock-moderation");
  return answered(*body, json::Object{{"id", fmt::format("modr-{:016x}", hash(call.body, 0))},
                                      {"model", model},
                                      {"results", std::move(results)}});
}

Answered draw(const Call& call, Shared&) {
  constexpr std::string_view kPixel =
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  auto body = object_of(call);
  if (!body) return std::unexpected(body.error());
  std::string_view prompt = json::string_or(*body, "prompt", "");
  std::int64_t count = json::int_or(*body, "n", 1);
  if (prompt.empty()) return refuse("Missing required parameter: 'prompt'.", "prompt");
  if (count < 1 || count > 10) return refuse("'n' must be an integer from 1 to 10.", "n");
  bool link = json::string_or(*body, "response_format", "") == "url";
  json::Array data;
  for (std::int64_t i = 0; i < count; ++i) {
    json::Object image;
    image["revised_prompt"] = prompt;
    image[link ? "url" : "b64_json"] = link ? fmt::format("http://mock.invalid/image{}.png", i) : std::string(kPixel);
    data.push_back(std::move(image));
  }
  std::int64_t input = estimate_tokens(prompt);
  json::Object usage = {{"input_tokens", input},
                        {"input_tokens_details", {{"text_tokens", input}, {"image_tokens", 0}}},
                        {"output_tokens", 16 * count},
                        {"total_tokens", input + 16 * count}};
  return answered(*body, json::Object{{"created", kCreated}, {"data", std::move(data)}, {"usage", std::move(usage)}});
}

Answered rerank(const Call& call, Shared& shared) {
  constexpr std::size_t kDimensions = 256;
  auto body = object_of(call);
  if (!body) return std::unexpected(body.error());
  const json::Value* documents = json::find(*body, "documents");
  std::string_view query = json::string_or(*body, "query", "");
  if (query.empty()) return refuse("Missing required parameter: 'query'.", "query");
  if (documents == nullptr || !documents->is_array() || documents->get_array().empty())
    return refuse("Missing required parameter: 'documents'.", "documents");
  auto asked = embed_text(query, kDimensions, shared.options.seed);
  struct Ranked {
    std::size_t index;
    double score;
  };
  std::vector<Ranked> ranked;
  for (std::size_t i = 0; i < documents->get_array().size(); ++i) {
    auto vector = embed_text(text_of(documents->get_array()[i]), kDimensions, shared.options.seed);
    ranked.push_back({i, (likeness(asked, vector) + 1) / 2});
  }
  // Of equals the first comes first.
  std::ranges::sort(ranked, [](const Ranked& a, const Ranked& b) {
    return a.score > b.score || (a.score == b.score && a.index < b.index);
  });
  std::int64_t top = json::int_or(*body, "top_n", static_cast<std::int64_t>(ranked.size()));
  if (top < 1) return refuse("'top_n' must be at least 1.", "top_n");
  ranked.resize(std::min(ranked.size(), static_cast<std::size_t>(top)));
  bool give = json::bool_or(*body, "return_documents", false);
  json::Array results;
  for (const Ranked& rank : ranked) {
    json::Object result = {{"index", rank.index}, {"relevance_score", rank.score}};
    if (give) result["document"] = {{"text", text_of(documents->get_array()[rank.index])}};
    results.push_back(std::move(result));
  }
  std::int64_t tokens = estimate_tokens(json::dump(*documents));
  return answered(*body, json::Object{{"id", fmt::format("rerank-{:016x}", hash(call.body, 0))},
                                      {"model", json::string_or(*body, "model", "")},
                                      {"results", std::move(results)},
                                      {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
}

Answered batches(const Call& call, Shared& shared) {
  constexpr std::string_view kPath = "/v1/batches";
  std::string_view rest = call.path.substr(kPath.size());
  bool post = call.method == "POST";
  if (rest.empty() && post) return make_batch(call, shared);
  if (rest.empty()) {
    json::Array data;
    for (json::Value& batch : shared.documents.all("batch_")) data.push_back(std::move(batch));
    return document(json::Object{{"object", "list"}, {"data", std::move(data)}, {"has_more", false}});
  }
  rest.remove_prefix(1);
  std::string id(rest.substr(0, rest.find('/')));
  json::Value batch = shared.documents.get(id);
  if (batch.is_null() || !id.starts_with("batch_"))
    return refuse(fmt::format("No batch found with id '{}'.", id), {}, 404);
  if (post && rest.ends_with("/cancel")) {
    batch.as_object()["status"] = "cancelling";
    shared.documents.put(id, batch);
  }
  return document(batch);
}

}  // namespace penstock::mock
