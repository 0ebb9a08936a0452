#include <gmock/gmock.h>

#include "llm/test/configured_provider.h"

namespace penstock::ext {

void register_providers_gemini(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

llm::ConfiguredProvider make(std::string_view yaml) {
  return llm::configure(register_providers_gemini, "gemini", yaml);
}

TEST(GeminiProviderConfig, HasDefaults) {
  llm::ConfiguredProvider made = make("{ api_key: k-1 }");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.report, "");
  EXPECT_EQ(made.provider->origin()->url.authority(), "generativelanguage.googleapis.com");
  EXPECT_EQ(made.provider->origin()->url.path, "/v1beta");
}

TEST(GeminiProviderConfig, ReadsEverything) {
  llm::ConfiguredProvider made =
      make("{ base_url: 'http://127.0.0.1:9/below', api_key: k-1, timeout: 3s, tool_schema: openapi }");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.report, "");
  EXPECT_EQ(made.provider->timeouts().first_byte, 3s);
  EXPECT_EQ(made.provider->origin()->url.path, "/below");
  EXPECT_THAT(made.provider->probe_head(), HasSubstr("k-1\r\n"));
}

// Each with the place it stands at.
TEST(GeminiProviderConfig, RefusesWhatCannotBe) {
  struct Case {
    const char* yaml;
    const char* place;
    const char* why;
  };
  for (const Case& each : {
           Case{"tool_schema: xml", "p.yaml:1:", "tool_schema"},
           Case{"tool_schema: openapi\ntimeout: 25h", "p.yaml:2:", "between 1ms and 24h"},
           Case{"timeout: 3s\napi_key: '${KEY}'", "p.yaml:2:", "a character no key has"},
           Case{"base_url: ftp://x", "p.yaml:1:", "base_url"},
           Case{"tool_shema: openapi", "p.yaml:1:", "did you mean 'tool_schema'?"},
       }) {
    llm::ConfiguredProvider made = make(each.yaml);
    EXPECT_THAT(made.report, HasSubstr(each.place)) << each.yaml;
    EXPECT_THAT(made.report, HasSubstr(each.why)) << each.yaml;
    EXPECT_THAT(made.report, testing::Not(HasSubstr("key with spaces"))) << each.yaml;
  }
}

}  // namespace
}  // namespace penstock::ext
