#include "base/registry.h"
#include "config/timeout.h"
#include "ext/providers/ollama/ollama_provider.h"
#include "llm/origin_config.h"

namespace penstock::ext {
namespace {

// Beyond what any model has.
constexpr std::int64_t kContextMax = 100'000'000;

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

std::shared_ptr<const llm::Provider> make(const std::string& name, config::Map& map) {
  OllamaProvider::Options options;
  options.origin = llm::read_origin(name, map, "http://127.0.0.1:11434");
  options.api_key = map.secret("api_key");
  options.timeouts.first_byte = config::read_timeout(map, "timeout", options.timeouts.first_byte);
  options.keep_alive = map.text("keep_alive");
  options.num_ctx = map.integer("num_ctx", 0, 0, kContextMax);
  if (!options.origin) return nullptr;
  for (std::string_view ending : {"/v1", "/api"}) {
    if (!options.origin->url.path.ends_with(ending)) continue;
    map.get("base_url")
        .problem(fmt::format("leave '{}' out: this type speaks Ollama's own API, whose paths begin below the address "
                             "(for /v1 there is the "
                             "type openai)",
                             ending));
    return nullptr;
  }
  if (!is_printable(options.api_key.reveal())) {
    map.get("api_key").problem("the key contains a character no key has (a space, a line end?)");
    return nullptr;
  }
  if (!is_printable(options.keep_alive)) {
    map.get("keep_alive").problem("write a duration as Ollama does (10m, 24h), or a number of seconds (-1: for ever)");
    return nullptr;
  }
  return std::make_shared<const OllamaProvider>(std::move(options));
}

}  // namespace

void register_providers_ollama(base::Registry& registry) { registry.add("ollama", llm::ProviderFactory{make}); }

}  // namespace penstock::ext
