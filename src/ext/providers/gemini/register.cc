#include "base/registry.h"
#include "config/timeout.h"
#include "ext/providers/gemini/gemini_provider.h"
#include "llm/origin_config.h"

namespace penstock::ext {
namespace {

std::shared_ptr<const llm::Provider> make(const std::string& name, config::Map& map) {
  GeminiProvider::Options options;
  options.origin = llm::read_origin(name, map, "https://generativelanguage.googleapis.com/v1beta");
  options.api_key = map.secret("api_key");
  options.timeouts.first_byte = config::read_timeout(map, "timeout", options.timeouts.first_byte);
  if (map.choice("tool_schema", {"json_schema", "openapi"}, "json_schema") == "openapi")
    options.tool_schema = ToolSchema::openapi;
  if (!options.origin) return nullptr;
  for (char c : options.api_key.reveal()) {
    if (c > ' ' && c < 0x7f) continue;
    map.get("api_key").problem("the key contains a character no key has (a space, a line end?)");
    return nullptr;
  }
  return std::make_shared<const GeminiProvider>(std::move(options));
}

}  // namespace

void register_providers_gemini(base::Registry& registry) { registry.add("gemini", llm::ProviderFactory{make}); }

}  // namespace penstock::ext
