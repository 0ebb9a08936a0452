#include <gmock/gmock.h>

#include "base/registry.h"
#include "ext/providers/ollama/ollama_provider.h"

namespace penstock::ext {

void register_providers_ollama(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct Made {
  std::shared_ptr<const llm::Provider> provider;
  std::string report;
};

Made make(std::string_view yaml) {
  base::Registry registry;
  register_providers_ollama(registry);
  auto document = config::Document::parse(
      yaml, "p.yaml", [](const std::string& name) { return name == "KEY" ? "key with spaces" : nullptr; });
  EXPECT_TRUE(document.has_value());
  config::Map map = document->root().map();
  Made made;
  made.provider = registry.find<llm::ProviderFactory>("ollama")->make("lab", map);
  map.done();
  made.report = document->report();
  return made;
}

std::string asked(const llm::Provider& provider) {
  chat::Request request;
  request.messages.push_back({.role = chat::Role::user, .parts = {{.content = chat::Text{"hi"}}}});
  chat::Dropped dropped;
  return provider.encode(request, "m", "id", dropped)->body.joined();
}

TEST(OllamaProviderConfig, HasDefaults) {
  Made made = make("{}");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.provider->origin()->url.authority(), "127.0.0.1:11434");
  EXPECT_EQ(made.provider->origin()->url.path, "");
  EXPECT_EQ(made.provider->probe_head(), "GET /api/tags HTTP/1.1\r\nhost: 127.0.0.1:11434\r\nuser-agent: penstock\r\n");
  EXPECT_EQ(asked(*made.provider), R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false})");
}

TEST(OllamaProviderConfig, ReadsEverything) {
  Made made =
      make("{ base_url: 'http://127.0.0.1:9/below', api_key: k-1, timeout: 3s, keep_alive: 10m, num_ctx: 8192 }");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.provider->timeouts().first_byte, 3s);
  EXPECT_THAT(made.provider->probe_head(), HasSubstr("GET /below/api/tags "));
  EXPECT_THAT(made.provider->probe_head(), HasSubstr("authorization: Bearer k-1\r\n"));
  EXPECT_THAT(asked(*made.provider), HasSubstr(R"("options":{"num_ctx":8192},"keep_alive":"10m")"));
}

TEST(OllamaProviderConfig, KeepAliveMayBeANumberOfSeconds) {
  EXPECT_THAT(asked(*make("{ keep_alive: -1 }").provider), HasSubstr(R"("keep_alive":-1,)"));
}

TEST(OllamaProviderConfig, RefusesWhatCannotBe) {
  struct Case {
    const char* yaml;
    const char* report;
  };
  for (const Case& each :
       {Case{"{ base_url: 'http://127.0.0.1:11434/v1' }", "leave '/v1' out"},
        Case{"{ base_url: 'http://127.0.0.1:11434/api' }", "leave '/api' out"},
        Case{"{ api_key: '${KEY}' }", "a character no key has"},
        Case{"{ keep_alive: 'ten minutes' }", "write a duration"}, Case{"{ num_ctx: -1 }", "num_ctx"}}) {
    Made made = make(each.yaml);
    EXPECT_THAT(made.report, HasSubstr(each.report)) << each.yaml;
    EXPECT_THAT(made.report, HasSubstr("p.yaml:1:")) << each.yaml;
  }
  EXPECT_THAT(make("timeout: 3s\n  \nnum_ctx: many").report, HasSubstr("p.yaml:3:"));
}

}  // namespace
}  // namespace penstock::ext
