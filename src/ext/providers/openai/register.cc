#include "base/registry.h"
#include "config/timeout.h"
#include "ext/providers/openai/openai_provider.h"
#include "llm/origin_config.h"

namespace penstock::ext {
namespace {

std::shared_ptr<const llm::Provider> make(const std::string& name, config::Map& map) {
  OpenAiProvider::Options options;
  options.origin = llm::read_origin(name, map, "https://api.openai.com/v1");
  options.api_key = map.secret("api_key");
  options.timeouts.first_byte = config::read_timeout(map, "timeout", options.timeouts.first_byte);
  options.compatible = map.boolean("compatible", false);
  // OpenAI's own has it. Most other servers that speak its dialect do not, or keep no responses.
  bool own = options.origin && options.origin->url.authority() == "api.openai.com";
  options.responses = map.boolean("responses", own);
  if (!options.origin) return nullptr;
  for (char c : options.api_key.reveal()) {
    if (c > ' ' && c < 0x7f) continue;
    map.get("api_key").problem("the key contains a character no key has (a space, a line end?)");
    return nullptr;
  }
  return std::make_shared<const OpenAiProvider>(std::move(options));
}

}  // namespace

void register_providers_openai(base::Registry& registry) { registry.add("openai", llm::ProviderFactory{make}); }

}  // namespace penstock::ext
