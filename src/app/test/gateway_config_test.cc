#include "app/gateway_config.h"

#include <gmock/gmock.h>

namespace penstock::ext {
void register_all(base::Registry& registry);
}

namespace penstock::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Read {
  GatewayConfig config;
  std::string report;
};

Read read(const std::string& yaml) {
  base::Registry registry;
  ext::register_all(registry);
  auto document = config::Document::parse(yaml, "g.yaml", [](const std::string&) -> const char* { return nullptr; });
  EXPECT_TRUE(document.has_value()) << document.error().detail;
  Read result;
  config::Map root = document->root().map();
  result.config = read_gateway_config(root, registry);
  root.done();
  result.report = document->report();
  return result;
}

constexpr const char* kKeys = "keys: [ { name: app, secret: 0123456789abcdef } ]\n";
constexpr const char* kProviders = "providers: { lab: { type: openai, base_url: 'http://127.0.0.1:9/v1' } }\n";

TEST(GatewayConfig, HasSafeDefaults) {
  Read got = read("{}");
  EXPECT_EQ(got.report, "");
  ASSERT_EQ(got.config.listen.size(), 1U);
  EXPECT_EQ(got.config.listen[0].endpoint.text(), "127.0.0.1:8080");
  EXPECT_EQ(got.config.admin.endpoint.text(), "127.0.0.1:8081");
  EXPECT_EQ(got.config.data_dir, "./var");
  EXPECT_EQ(got.config.threads, std::max(1U, std::thread::hardware_concurrency()));
  EXPECT_THAT(got.config.filters, ElementsAre("keys", "limits"));
  EXPECT_FALSE(got.config.insecure);
  EXPECT_FALSE(got.config.guide);
  EXPECT_TRUE(got.config.llm->routes().empty());
}

TEST(GatewayConfig, ReadsTheLimitsOfHttp) {
  http::ServerLimits usual = read("{}").config.http;
  EXPECT_EQ(usual.message.line_bytes_max, 8U * 1024);
  EXPECT_EQ(usual.message.head_bytes_max, 32U * 1024);
  EXPECT_EQ(usual.message.body_bytes_max, 1U << 30);
  Read got = read(
      "http: { request_line_max: 1KiB, head_max: 2KiB, body_max: 3MiB, head_timeout: 1s, body_timeout: 2s,\n"
      "        idle_timeout: 3s, write_timeout: 4s, body_rate_min: 5B, answer_rate_min: 6B }\n");
  EXPECT_EQ(got.report, "");
  EXPECT_EQ(got.config.http.message.line_bytes_max, 1024U);
  EXPECT_EQ(got.config.http.message.head_bytes_max, 2048U);
  EXPECT_EQ(got.config.http.message.body_bytes_max, 3U << 20);
  EXPECT_EQ(got.config.http.head_timeout, std::chrono::seconds(1));
  EXPECT_EQ(got.config.http.body_timeout, std::chrono::seconds(2));
  EXPECT_EQ(got.config.http.idle_timeout, std::chrono::seconds(3));
  EXPECT_EQ(got.config.http.write_timeout, std::chrono::seconds(4));
  EXPECT_EQ(got.config.http.body_rate_min, 5U);
  EXPECT_EQ(got.config.http.answer_rate_min, 6U);
  EXPECT_THAT(read("http: { head_timeout: 0 }\n").report, HasSubstr("between 1ms and 24h"));
  EXPECT_THAT(read("http: { head_max: 1B }\n").report, HasSubstr("between 1KiB and 16MiB"));
  EXPECT_THAT(read("http: { head_max: 2KiB }\n").report, HasSubstr("at least `request_line_max`"));
  EXPECT_THAT(read("http: { head_maximum: 2KiB }\n").report, HasSubstr("head_max"));
}

TEST(GatewayConfig, DerivesTheLimitsOfOverloadFromTheMachine) {
  OverloadConfig usual = read("threads: 1").config.overload;
  EXPECT_GE(usual.burden.connections, 16U);
  EXPECT_LE(usual.burden.connections, 20'000U);
  EXPECT_LT(usual.burden.connections_per_client, usual.burden.connections);
  EXPECT_GT(usual.admission.requests, static_cast<std::int64_t>(usual.burden.connections));
  EXPECT_GT(usual.admission.memory_bytes, usual.burden.buffered_bytes);
  OverloadConfig small = read("overload: { connections: 400 }").config.overload;
  EXPECT_EQ(small.burden.connections, 400U);
  EXPECT_EQ(small.burden.connections_per_client, 100U);
  EXPECT_EQ(small.admission.requests, 452);
}

TEST(GatewayConfig, ReadsTheLimitsOfOverload) {
  Read got = read(
      "overload: { connections: 10, connections_per_address: 5, requests: 7, buffered: 2MiB, memory: 64MiB, lag: "
      "20ms,\n"
      "            wrong_keys: 2/s }\n");
  EXPECT_EQ(got.report, "");
  EXPECT_EQ(got.config.overload.burden,
            (http::BurdenLimits{.connections = 10, .connections_per_client = 5, .buffered_bytes = 2U << 20}));
  EXPECT_EQ(got.config.overload.admission, (flow::AdmissionLimits{.requests = 7,
                                                                  .memory_bytes = 64U << 20,
                                                                  .lag = std::chrono::milliseconds(20),
                                                                  .wrong_keys_per_minute = 120}));
  EXPECT_EQ(read("overload: { lag: 0s }").report, "");
  EXPECT_THAT(read("overload: { lag: 10us }").report, HasSubstr("between 1ms and 1m"));
  EXPECT_THAT(read("overload: { memory: 1KiB }").report, HasSubstr("at least 1MiB"));
  EXPECT_THAT(read("overload: { conections: 1 }").report, HasSubstr("connections"));
}

TEST(GatewayConfig, ReadsThePriorityOfAKey) {
  Read got =
      read("keys: [ { name: a, secret: 0123456789abcdef, priority: low }, { name: b, secret: 0123456789abcdeg } ]\n");
  EXPECT_EQ(got.report, "");
  ASSERT_EQ(got.config.keys.size(), 2U);
  EXPECT_EQ(got.config.keys[0].priority, flow::Priority::low);
  EXPECT_EQ(got.config.keys[1].priority, flow::Priority::normal);
  EXPECT_THAT(read("keys: [ { name: a, secret: 0123456789abcdef, priority: urgent } ]").report, HasSubstr("critical"));
}

TEST(GatewayConfig, ReadsListeners) {
  Read list = read("listen: [ '127.0.0.1:1', { address: '[::1]:2', tls: { cert: c.pem, key: k.pem } } ]\n");
  EXPECT_EQ(list.report, "");
  ASSERT_EQ(list.config.listen.size(), 2U);
  EXPECT_EQ(list.config.listen[1].endpoint.text(), "[::1]:2");
  EXPECT_EQ(list.config.listen[1].tls,
            (net::TlsServerOptions{.certificates = {{"c.pem", "k.pem"}}, .alpn = {"h2", "http/1.1"}}));
  EXPECT_FALSE(list.config.listen[0].tls);
  EXPECT_EQ(read("listen: { address: 'localhost:3' }\n").config.listen[0].endpoint.port(), 3);
}

TEST(GatewayConfig, ReadsTlsOfAListener) {
  Read got = read(
      "listen: { address: '127.0.0.1:1', tls: { certificates: [ { cert: a, key: b }, { cert: c, key: d } ], client_ca: "
      "e, "
      "client_auth: optional, min_version: 1.3, session_lifetime: 10m } }\n");
  EXPECT_EQ(got.report, "");
  net::TlsServerOptions wanted;
  wanted.certificates = {{"a", "b"}, {"c", "d"}};
  wanted.client_ca_file = "e";
  wanted.client_auth = net::ClientAuth::optional;
  wanted.min_version = net::TlsVersion::tls13;
  wanted.session_lifetime = std::chrono::minutes(10);
  wanted.alpn = {"h2", "http/1.1"};
  EXPECT_EQ(got.config.listen[0].tls, wanted);
  Read strict = read("listen: { address: '127.0.0.1:1', tls: { cert: a, key: b, client_ca: e } }\n");
  EXPECT_EQ(strict.config.listen[0].tls->client_auth, net::ClientAuth::required);
}

TEST(GatewayConfig, SaysWhatIsWrongWithTls) {
  auto report = [](const std::string& tls) {
    return read("listen: { address: '127.0.0.1:1', tls: { " + tls + " } }\n").report;
  };
  EXPECT_THAT(report("certificates: []"), HasSubstr("the list is empty"));
  EXPECT_THAT(report("cert: a, key: b, certificates: [ { cert: a, key: b } ]"), HasSubstr("not both"));
  EXPECT_THAT(report("certificates: [ { cert: a } ]"), HasSubstr("key"));
  EXPECT_THAT(report("cert: a, key: b, client_auth: required"), HasSubstr("add `client_ca: FILE`"));
  EXPECT_THAT(report("cert: a, key: b, client_auth: maybe"), HasSubstr("client_auth"));
  EXPECT_THAT(report("cert: a, key: b, min_version: 1.1"), HasSubstr("min_version"));
  EXPECT_THAT(report("cert: a, key: b, session_lifetime: 25h"), HasSubstr("between 1s and 24h"));
}

TEST(GatewayConfig, SaysWhatIsWrongWithAListener) {
  EXPECT_NE(read("listen: nowhere\n").report, "");
  EXPECT_NE(read("listen: '127.0.0.1:99999'\n").report, "");
  EXPECT_THAT(read("listen: []\n").report, HasSubstr("g.yaml:1:9: listen: the list is empty"));
  EXPECT_THAT(read("listen: { tls: { cert: c, key: k } }\n").report, HasSubstr("address"));
  EXPECT_THAT(read("listen: { address: '127.0.0.1:1', tls: { cert: c } }\n").report, HasSubstr("key"));
  EXPECT_THAT(read("listen: { address: '127.0.0.1:1', tsl: { cert: c, key: k } }\n").report,
              HasSubstr("did you mean 'tls'?"));
  EXPECT_THAT(read("listen: { address: '127.0.0.1:1', tls: { cert: c, key: k, kye: x } }\n").report,
              HasSubstr("did you mean 'key'?"));
}

TEST(GatewayConfig, RefusesToBeReachableWithoutTls) {
  const std::string plain = "listen: '0.0.0.0:8080'\n";
  EXPECT_THAT(read(plain).report, HasSubstr("0.0.0.0:8080 is reachable from outside without TLS"));
  EXPECT_THAT(read(plain + kKeys).report, HasSubstr("without TLS"));
  EXPECT_EQ(read("listen: { address: '0.0.0.0:8080', tls: { cert: c, key: k } }\n").report, "");
  EXPECT_EQ(read(plain + "insecure: true\n").report, "");
  EXPECT_THAT(read("listen: [ '127.0.0.1:1', '[::]:2' ]\n").report, HasSubstr("[::]:2 is reachable"));
  EXPECT_EQ(read("listen: '127.0.0.5:1'\n").report, "") << "all of 127/8 is this machine";
}

TEST(GatewayConfig, RefusesToLetEverybodyInByLeavingOutAFilter) {
  EXPECT_THAT(read(std::string("filters: [limits]\n") + kKeys).report,
              HasSubstr("g.yaml:1:10: filters: without the filter 'keys' nobody's key is checked"));
  EXPECT_THAT(read("filters: []\n").report, HasSubstr("nobody's key is checked"));
  EXPECT_EQ(read(std::string("filters: []\ninsecure: true\n") + kKeys).report, "");
}

TEST(GatewayConfig, KeepsTheAdminApiOnThisMachine) {
  EXPECT_THAT(read("admin: '0.0.0.0:8081'\n").report,
              HasSubstr("the admin API is reachable from outside: give it `key` and `tls`"));
  EXPECT_EQ(read("admin: '0.0.0.0:8081'\ninsecure: true\n").report, "");
}

TEST(GatewayConfig, ReadsThreads) {
  EXPECT_EQ(read("threads: 3\n").config.threads, 3U);
  EXPECT_EQ(read("threads: auto\n").config.threads, read("{}").config.threads);
  EXPECT_GE(read("threads: auto\n").config.threads, 1U);
  for (const char* bad : {"0", "-1", "many", "257", "1.5"})
    EXPECT_NE(read(fmt::format("threads: {}\n", bad)).report, "") << bad;
}

TEST(GatewayConfig, ReadsFilters) {
  EXPECT_THAT(read("filters: [limits, keys]\n").config.filters, ElementsAre("limits", "keys"));
  EXPECT_THAT(read("filters: []\ninsecure: true\n").config.filters, ElementsAre());
  EXPECT_THAT(read("filters: [key]\n").report, HasSubstr("there is no filter 'key'; there are: keys, limits"));
  EXPECT_NE(read("filters: keys\n").report, "");
}

TEST(GatewayConfig, TellsRoutesFromLocalModels) {
  Read got = read(std::string(kProviders) + "models: { chat: { route: [lab/a] }, digits: { path: models/digits } }\n");
  EXPECT_EQ(got.report, "");
  EXPECT_TRUE(got.config.llm->find("chat").has_value());
  ASSERT_EQ(got.config.models.size(), 1U);
  EXPECT_EQ(got.config.models[0].name, "digits");
  EXPECT_EQ(got.config.models[0].path, "models/digits");
}

TEST(GatewayConfig, WantsAModelToBeOneOfTheTwo) {
  EXPECT_THAT(read("models: { m: {} }\n").report,
              HasSubstr("models.m: a model has either a `route` (who answers), or a `path`"));
  EXPECT_THAT(read(std::string(kProviders) + "models: { m: { route: [lab/a], path: x } }\n").report,
              HasSubstr("a model has either"));
  EXPECT_NE(read("models: { m: }\n").report, "");
  EXPECT_NE(read("models: [ m ]\n").report, "");
  EXPECT_THAT(read("models: { m: { path: x, serv: all } }\n").report, HasSubstr("did you mean 'serve'?"));
  EXPECT_THAT(read(std::string(kProviders) + "models: { m: { route: [lab/a], fallbacks: [] } }\n").report,
              HasSubstr("did you mean 'fallback'?"));
}

TEST(GatewayConfig, ReportsNamesThatAppearTwice) {
  EXPECT_THAT(read("models: { m: { path: x }, m: { path: y } }\n").report, HasSubstr("'m' appears twice"));
  EXPECT_THAT(read("providers: { a: { type: openai }, a: { type: openai } }\n").report, HasSubstr("'a' appears twice"));
  EXPECT_THAT(read("threads: 1\nthreads: 2\n").report, HasSubstr("g.yaml:2:1"));
  EXPECT_THAT(read("keys: [ { name: a, secret: 0123456789abcdef }, { name: a, secret: 0123456789abcdeg } ]\n").report,
              HasSubstr("'a' appears twice"));
  EXPECT_THAT(read("keys: [ { name: a, secret: 0123456789abcdef }, { name: b, secret: 0123456789abcdef } ]\n").report,
              HasSubstr("the same secret"));
}

TEST(GatewayConfig, ReportsUnknownKeysWithHints) {
  EXPECT_THAT(read("lisen: '127.0.0.1:1'\n").report,
              HasSubstr("g.yaml:1:1: unknown key 'lisen'; did you mean 'listen'?"));
  EXPECT_THAT(read("thread: 1\n").report, HasSubstr("did you mean 'threads'?"));
  EXPECT_THAT(read("providers: { lab: { type: opnai } }\n").report,
              HasSubstr("there are: anthropic, gemini, ollama, openai"));
}

TEST(GatewayConfig, NeverRepeatsASecret) {
  Read got = read("keys: [ { name: a, secrt: short-secret }, { nmae: b, secret: another-secret-of-16 } ]\n");
  EXPECT_NE(got.report, "");
  EXPECT_THAT(got.report, Not(HasSubstr("short-secret")));
  EXPECT_THAT(got.report, Not(HasSubstr("another-secret")));
  EXPECT_THAT(read("providers: { a: { type: openai, api_key: \"${NOT_SET}\" } }\n").report, HasSubstr("NOT_SET"));
}

TEST(GatewayConfig, CollectsEveryMistake) {
  std::string report = read("listen: x\nadmin: y\nthreads: z\nfilters: [q]\nmodels: { m: {} }\nodd: 1\n").report;
  for (const char* place : {"g.yaml:1:", "g.yaml:2:", "g.yaml:3:", "g.yaml:4:", "g.yaml:5:", "g.yaml:6:"})
    EXPECT_THAT(report, HasSubstr(place));
}

TEST(GatewayConfig, ReadsListenersOfEveryKind) {
  Read got = read(
      "listen:\n"
      "  - { address: 'unix:/run/p.sock', mode: 0660, trusted_proxies: [ unix, 10.0.0.0/8 ] }\n"
      "  - { address: '127.0.0.1:1', proxy_protocol: true }\n"
      "  - systemd:web\n"
      "drain_timeout: 3s\n"
      "drain_delay: 500ms\n");
  EXPECT_EQ(got.report, "");
  ASSERT_EQ(got.config.listen.size(), 3U);
  EXPECT_EQ(got.config.listen[0].address(), "unix:/run/p.sock");
  EXPECT_EQ(got.config.listen[0].mode, mode_t{0660});
  EXPECT_EQ(got.config.listen[0].trusted_proxies.size(), 2U);
  EXPECT_FALSE(got.config.listen[0].proxy_protocol);
  EXPECT_TRUE(got.config.listen[1].proxy_protocol);
  EXPECT_EQ(got.config.listen[2].address(), "systemd:web");
  EXPECT_EQ(got.config.drain_timeout, std::chrono::seconds(3));
  EXPECT_EQ(got.config.drain_delay, std::chrono::milliseconds(500));
  EXPECT_FALSE(serves_outside(got.config));
}

TEST(GatewayConfig, RefusesListenersThatCannotBeMeant) {
  EXPECT_THAT(read("listen: { address: '127.0.0.1:1', mode: 0660 }\n").report, HasSubstr("local socket"));
  EXPECT_THAT(read("listen: { address: 'unix:/run/x', mode: 0999 }\n").report, HasSubstr("chmod"));
  EXPECT_THAT(read("listen: 'unix:'\n").report, HasSubstr("path"));
  EXPECT_THAT(read("listen: { address: '127.0.0.1:1', trusted_proxies: [ 10.0.0.1/8 ] }\n").report,
              HasSubstr("first address"));
  EXPECT_THAT(read("listen: [ '127.0.0.1:1', '127.0.0.1:1' ]\n").report, HasSubstr("twice"));
  EXPECT_EQ(read("listen: [ '127.0.0.1:0', '127.0.0.1:0' ]\n").report, "");
}

}  // namespace
}  // namespace penstock::app
