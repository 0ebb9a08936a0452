#include <gmock/gmock.h>

#include "llm/test/configured_provider.h"

namespace penstock::ext {

void register_providers_anthropic(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

llm::ConfiguredProvider make(std::string_view yaml) {
  return llm::configure(register_providers_anthropic, "anthropic", yaml);
}

TEST(AnthropicProviderConfig, HasDefaults) {
  llm::ConfiguredProvider made = make("{ api_key: k-1 }");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.report, "");
  EXPECT_EQ(made.provider->origin()->url.authority(), "api.anthropic.com");
  EXPECT_EQ(made.provider->origin()->url.path, "/v1");
}

TEST(AnthropicProviderConfig, ReadsEverything) {
  llm::ConfiguredProvider made = make(
      "{ base_url: 'http://127.0.0.1:9/below', api_key: k-1, timeout: 3s, betas: [b-1], max_tokens: 77, "
      "structured_output: tool, thinking: adaptive }");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.report, "");
  EXPECT_EQ(made.provider->timeouts().first_byte, 3s);
  EXPECT_THAT(made.provider->probe_head(), HasSubstr("x-api-key: k-1\r\n"));
  EXPECT_THAT(llm::asked(*made.provider), HasSubstr(R"("max_tokens":77)"));
}

// Each with the place it stands at.
TEST(AnthropicProviderConfig, RefusesWhatCannotBe) {
  struct Case {
    const char* yaml;
    const char* place;
    const char* why;
  };
  for (const Case& each : {
           Case{"max_tokens: 0", "p.yaml:1:", "max_tokens"},
           Case{"timeout: 3s\nmax_tokens: many", "p.yaml:2:", "max_tokens"},
           Case{"structured_output: json", "p.yaml:1:", "structured_output"},
           Case{"timeout: 3s\nthinking: deep", "p.yaml:2:", "thinking"},
           Case{"timeout: 0s", "p.yaml:1:", "between 1ms and 24h"},
           Case{"timeout: 3s\napi_key: '${KEY}'", "p.yaml:2:", "a character no key has"},
           Case{"timeout: 3s\n\nbetas: ['a b']", "p.yaml:3:", "the name of a beta"},
           Case{"base_url: ftp://x", "p.yaml:1:", "base_url"},
           Case{"max_token: 7", "p.yaml:1:", "did you mean 'max_tokens'?"},
       }) {
    llm::ConfiguredProvider made = make(each.yaml);
    EXPECT_THAT(made.report, HasSubstr(each.place)) << each.yaml;
    EXPECT_THAT(made.report, HasSubstr(each.why)) << each.yaml;
    EXPECT_THAT(made.report, testing::Not(HasSubstr("key with spaces"))) << each.yaml;
  }
}

}  // namespace
}  // namespace penstock::ext
