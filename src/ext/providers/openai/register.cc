#include "base/registry.h"
#include "ext/providers/openai/openai_provider.h"

namespace penstock::ext {
namespace {

std::shared_ptr<const llm::Provider> make(const std::string&, config::Map& map) {
  OpenAiProvider::Options options;
  config::Node base_url = map.get("base_url");
  auto url = net::parse_http_url(base_url.present() ? base_url.text() : "https://api.openai.com/v1");
  options.api_key = map.secret("api_key");
  options.connect_timeout = map.duration("connect_timeout", options.connect_timeout);
  options.timeouts.first_byte = map.duration("timeout", options.timeouts.first_byte);
  std::string ca_file = map.text("ca");
  if (!url) {
    base_url.problem(url.error().detail);
    return nullptr;
  }
  options.base_url = *url;
  for (char c : options.api_key.reveal()) {
    if (c > ' ' && c < 0x7f) continue;
    map.get("api_key").problem("the key contains a character no key has (a space, a line end?)");
    return nullptr;
  }
  if (url->tls()) {
    auto tls = net::TlsContext::client(ca_file);
    if (!tls) {
      map.get("ca").problem(tls.error().detail);
      return nullptr;
    }
    options.tls = *tls;
  }
  return std::make_shared<const OpenAiProvider>(std::move(options));
}

}  // namespace

void register_providers_openai(base::Registry& registry) { registry.add("openai", llm::ProviderFactory{make}); }

}  // namespace penstock::ext
