#include <gmock/gmock.h>

#include "llm/test/configured_provider.h"

namespace penstock::ext {

void register_providers_ollama(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

llm::ConfiguredProvider make(std::string_view yaml) {
  return llm::configure(register_providers_ollama, "ollama", yaml);
}

TEST(OllamaProviderConfig, HasDefaults) {
  llm::ConfiguredProvider made = make("{}");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.provider->origin()->url.authority(), "127.0.0.1:11434");
  EXPECT_EQ(made.provider->origin()->url.path, "");
  EXPECT_EQ(made.provider->probe_head(), "GET /api/tags HTTP/1.1\r\nhost: 127.0.0.1:11434\r\nuser-agent: penstock\r\n");
  EXPECT_EQ(llm::asked(*made.provider), R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stream":false})");
}

TEST(OllamaProviderConfig, ReadsEverything) {
  llm::ConfiguredProvider made =
      make("{ base_url: 'http://127.0.0.1:9/below', api_key: k-1, timeout: 3s, keep_alive: 10m, num_ctx: 8192 }");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.provider->timeouts().first_byte, 3s);
  EXPECT_THAT(made.provider->probe_head(), HasSubstr("GET /below/api/tags "));
  EXPECT_THAT(made.provider->probe_head(), HasSubstr("authorization: Bearer k-1\r\n"));
  EXPECT_THAT(llm::asked(*made.provider), HasSubstr(R"("options":{"num_ctx":8192},"keep_alive":"10m")"));
}

TEST(OllamaProviderConfig, KeepAliveMayBeANumberOfSeconds) {
  EXPECT_THAT(llm::asked(*make("{ keep_alive: -1 }").provider), HasSubstr(R"("keep_alive":-1,)"));
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
    llm::ConfiguredProvider made = make(each.yaml);
    EXPECT_THAT(made.report, HasSubstr(each.report)) << each.yaml;
    EXPECT_THAT(made.report, HasSubstr("p.yaml:1:")) << each.yaml;
  }
  EXPECT_THAT(make("timeout: 3s\n  \nnum_ctx: many").report, HasSubstr("p.yaml:3:"));
}

}  // namespace
}  // namespace penstock::ext
