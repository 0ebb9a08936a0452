#include "ext/apis/ollama/model_card.h"

#include <set>

#include "base/secret.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

// Nobody knows when a provider changed its model.
constexpr std::string_view kModified = "1970-01-01T00:00:00Z";

bool speaks(const llm::Route& route, llm::Operation operation) {
  return std::ranges::any_of(route.targets,
                             [&](const llm::Target& target) { return target.provider->speaks(operation); });
}

// The families of the providers behind the route; of the model itself nothing is known.
std::string details(const llm::Route& route) {
  std::set<std::string_view> families;
  for (const llm::Target& target : route.targets) families.insert(chat::to_string(target.provider->family()));
  std::string first(families.empty() ? "" : *families.begin());
  return fmt::format(
      R"({{"parent_model":"","format":"","family":"{}","families":["{}"],"parameter_size":"","quantization_level":""}})",
      first, fmt::join(families, "\",\""));
}

}  // namespace

std::string_view ollama_route_name(const llm::Plan& plan, std::string_view asked) {
  constexpr std::string_view kLatest = ":latest";
  if (!asked.ends_with(kLatest) || plan.routes().contains(asked)) return asked;
  std::string_view bare = asked.substr(0, asked.size() - kLatest.size());
  return plan.routes().contains(bare) ? bare : asked;
}

std::string ollama_tag(std::string_view name, const llm::Route& route) {
  std::string quoted;
  json::append_quoted(quoted, name);
  // Clients show the first digits of the digest, so that there must be some: they tell names apart.
  return fmt::format(R"({{"name":{},"model":{},"modified_at":"{}","size":0,"digest":"{}","details":{}}})", quoted,
                     quoted, kModified, base::hmac_sha256_hex("route", name), details(route));
}

std::string ollama_show(const llm::Route& route) {
  // What goes through the gateway; whether the model is up to it, its provider decides.
  bool talks = speaks(route, llm::Operation::chat);
  bool embeds = speaks(route, llm::Operation::embeddings);
  std::vector<std::string_view> capabilities;
  if (talks) capabilities = {"completion", "tools"};
  if (embeds && !talks) capabilities = {"embedding"};
  std::string list = capabilities.empty() ? "" : fmt::format("\"{}\"", fmt::join(capabilities, "\",\""));
  return fmt::format(R"({{"details":{},"model_info":{{}},"capabilities":[{}],"modified_at":"{}"}})", details(route),
                     list, kModified);
}

bool is_ollama_route(const llm::Route& route) {
  auto is_ollama = [](const llm::Target& target) { return target.provider->family() == chat::Family::ollama; };
  return std::ranges::all_of(route.targets, is_ollama) && std::ranges::all_of(route.fallback, is_ollama);
}

}  // namespace penstock::ext
