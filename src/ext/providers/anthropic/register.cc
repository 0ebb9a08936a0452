#include "base/registry.h"
#include "config/timeout.h"
#include "ext/providers/anthropic/anthropic_provider.h"
#include "llm/origin_config.h"

namespace penstock::ext {
namespace {

bool is_field_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::shared_ptr<const llm::Provider> make(const std::string& name, config::Map& map) {
  constexpr std::int64_t kMaxTokensMost = 1'000'000;
  anthropic::AnthropicProvider::Options options;
  options.origin = llm::read_origin(name, map, "https://api.anthropic.com/v1");
  options.api_key = map.secret("api_key");
  options.timeouts.first_byte = config::read_timeout(map, "timeout", options.timeouts.first_byte);
  options.betas = map.texts("betas");
  anthropic::MessagesOptions& messages = options.messages;
  messages.max_tokens = map.integer("max_tokens", messages.max_tokens, 1, kMaxTokensMost);
  messages.format_by_tool = map.choice("structured_output", {"native", "tool"}, "native") == "tool";
  messages.adaptive_thinking = map.choice("thinking", {"budget", "adaptive"}, "budget") == "adaptive";
  if (!options.origin) return nullptr;
  if (!is_field_text(options.api_key.reveal())) {
    map.get("api_key").problem("the key contains a character no key has (a space, a line end?)");
    return nullptr;
  }
  for (const std::string& beta : options.betas) {
    if (is_field_text(beta)) continue;
    map.get("betas").problem("the name of a beta contains a character none has (a space, a line end?)");
    return nullptr;
  }
  return std::make_shared<const anthropic::AnthropicProvider>(std::move(options));
}

}  // namespace

void register_providers_anthropic(base::Registry& registry) { registry.add("anthropic", llm::ProviderFactory{make}); }

}  // namespace penstock::ext
