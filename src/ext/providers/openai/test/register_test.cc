#include <gmock/gmock.h>

#include "llm/test/configured_provider.h"

namespace penstock::ext {

void register_providers_openai(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

llm::ConfiguredProvider make(std::string_view yaml) {
  return llm::configure(register_providers_openai, "openai", yaml);
}

TEST(OpenAiProviderConfig, HasDefaults) {
  llm::ConfiguredProvider made = make("{}");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.provider->origin()->url.authority(), "api.openai.com");
  EXPECT_EQ(made.provider->origin()->url.path, "/v1");
  EXPECT_TRUE(made.provider->origin()->tls);
}

TEST(OpenAiProviderConfig, ReadsEverything) {
  llm::ConfiguredProvider made =
      make("{ base_url: 'http://127.0.0.1:9/x', api_key: sk-1, timeout: 3s, connect_timeout: 200ms }");
  ASSERT_TRUE(made.provider) << made.report;
  EXPECT_EQ(made.provider->timeouts().first_byte, 3s);
  EXPECT_EQ(made.provider->origin()->connect_timeout, 200ms);
  EXPECT_FALSE(made.provider->origin()->tls);
  EXPECT_THAT(made.provider->probe_head(), HasSubstr("authorization: Bearer sk-1\r\n"));
}

TEST(OpenAiProviderConfig, ReadsHowToTreatTheOrigin) {
  llm::ConfiguredProvider made = make(
      "{ base_url: 'https://127.0.0.1:9/v1', tls: { server_name: llm.example }, "
      "connections: { max: 7, idle: 5s, waiting: 0 }, outlier: { failures: 2, eject: 1s }, "
      "health: { interval: 1s, timeout: 100ms, unhealthy_after: 4, healthy_after: 5 } }");
  ASSERT_TRUE(made.provider) << made.report;
  const http::Origin& origin = *made.provider->origin();
  EXPECT_EQ(origin.name, "lab");
  EXPECT_EQ(origin.tls_name, "llm.example");
  EXPECT_EQ(origin.connections.max, 7U);
  EXPECT_EQ(origin.connections.idle, 5s);
  EXPECT_EQ(origin.connections.waiting, 0U);
  EXPECT_EQ(origin.outlier, (http::OutlierPolicy{.failures = 2, .eject = 1s}));
  EXPECT_EQ(origin.check, (http::HealthCheck{1s, 100ms, 4, 5}));
  EXPECT_FALSE(make("{}").provider->origin()->check);
}

TEST(OpenAiProviderConfig, KeepsTheOriginWhenTheWordsAreTheSame) {
  llm::ConfiguredProvider first = make("{ base_url: 'http://127.0.0.1:9/v1', api_key: sk-1, timeout: 3s }");
  llm::ConfiguredProvider again = make("{ base_url: 'http://127.0.0.1:9/v1', api_key: sk-2, timeout: 4s }");
  llm::ConfiguredProvider other = make("{ base_url: 'http://127.0.0.1:9/v1', connect_timeout: 1s }");
  EXPECT_EQ(first.provider->origin(), again.provider->origin()) << "a new key needs no new connections";
  EXPECT_NE(first.provider->origin(), other.provider->origin());
}

TEST(OpenAiProviderConfig, ReportsMistakesWithoutTheSecret) {
  EXPECT_THAT(make("{ base_url: 'ftp://x' }").report, HasSubstr("base_url"));
  EXPECT_THAT(make("{ base_url: 'http://x', tls: { ca: x } }").report, HasSubstr("says nothing to a base_url"));
  EXPECT_THAT(make("{ connections: { max: 0 } }").report, HasSubstr("connections.max"));
  EXPECT_THAT(make("{ health: { interval: 0s } }").report, HasSubstr("between 1ms and 24h"));
  for (std::string_view time : {"0s", "1ns", "25h"}) {
    for (std::string_view key : {"timeout", "connect_timeout"})
      EXPECT_THAT(make(fmt::format("{{ {}: {} }}", key, time)).report, HasSubstr("between 1ms and 24h")) << key << time;
  }
  EXPECT_THAT(make("{ outlier: { failure: 3 } }").report, HasSubstr("did you mean 'failures'?"));
  EXPECT_THAT(make("{ base_ulr: x }").report, HasSubstr("did you mean 'base_url'?"));
  EXPECT_THAT(make("{ tls: { ca: /no/such/file.pem } }").report, HasSubstr("/no/such/file.pem"));
  llm::ConfiguredProvider spaced = make("{ api_key: \"${KEY}\" }");
  EXPECT_FALSE(spaced.provider);
  EXPECT_THAT(spaced.report, HasSubstr("the key contains a character no key has"));
  EXPECT_THAT(spaced.report, Not(HasSubstr("with spaces")));
}

}  // namespace
}  // namespace penstock::ext
