#include "app/admin_access.h"

#include <gmock/gmock.h>

namespace penstock::app {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr const char* kKey = "correct-horse-battery-staple";

struct Access : testing::Test {
  AdminConfig config;
  base::SteadyTime now{1h};
  std::optional<AdminAccess> access;
  std::string peer = "127.0.0.1";

  Access() { config.endpoint = *net::parse_endpoint({"127.0.0.1", 8081}); }
  using Given = std::vector<std::pair<std::string, std::string>>;
  // The status of the refusal; 0: served.
  int ask(std::string_view method, std::string_view path, const Given& given, std::string host = "127.0.0.1:8081") {
    if (!access) access.emplace().change(config);
    http::Fields fields;
    fields.add("host", host);
    for (const auto& [name, value] : given) fields.add(name, value);
    http::Request request;
    request.method = method;
    request.path = path;
    request.fields = &fields;
    auto refusal = access->check(request, *net::parse_endpoint({peer, 999}), now);
    return refusal ? refusal->status : 0;
  }
  int get(const Given& given) { return ask("GET", "/admin/v1/status", given); }
  static Given bearer(const std::string& key) { return {{"authorization", "Bearer " + key}}; }
};

TEST_F(Access, WithoutAKeyLoopbackNamesAreServed) {
  EXPECT_EQ(get({}), 0);
  for (const char* host : {"localhost:8081", "127.0.0.1", "[::1]:8081"})
    EXPECT_EQ(ask("GET", "/", {}, host), 0) << host;
  for (const char* host :
       {"evil.example:8081", "127.0.0.1.evil.example", "127.evil.example:8081", "localhost.example", "", "[::2]:8081"})
    EXPECT_EQ(ask("GET", "/admin/v1/status", {}, host), 403) << host;
}

TEST_F(Access, TheKeyIsNeededForAllButThePageAndTheProbes) {
  config.key = base::Secret(kKey);
  EXPECT_EQ(get({}), 401);
  EXPECT_EQ(get(bearer(kKey)), 0);
  EXPECT_EQ(get({{"authorization", std::string("bearer ") + kKey}}), 0);
  for (const Given& wrong : {bearer("x"), bearer(std::string(kKey) + "x"), Given{{"authorization", kKey}},
                             Given{{"x-api-key", kKey}}, Given{{"cookie", std::string("key=") + kKey}}})
    EXPECT_EQ(get(wrong), 401);
  for (const char* path : {"/", "/healthz", "/readyz"}) EXPECT_EQ(ask("GET", path, {}), 0) << path;
  for (const char* path : {"/metrics", "/admin/v1/openapi.json", "/admin/v1/nothing", "//", "/healthz/"})
    EXPECT_EQ(ask("GET", path, {}), 401) << path;
}

TEST_F(Access, MetricsMayBeOpen) {
  config.key = base::Secret(kKey);
  config.metrics_open = true;
  EXPECT_EQ(ask("GET", "/metrics", {}), 0);
  EXPECT_EQ(get({}), 401);
}

TEST_F(Access, WrongKeysAreCountedByAddress) {
  config.key = base::Secret(kKey);
  for (int i = 0; i < AdminAccess::kWrongKeys; ++i) EXPECT_EQ(get(bearer("wrong")), 401);
  EXPECT_EQ(get(bearer("wrong")), 429);
  EXPECT_EQ(get(bearer(kKey)), 0) << "whoever shares an address with the operator locks nobody out";
  EXPECT_EQ(get({}), 401);
  peer = "127.0.0.2";
  EXPECT_EQ(get(bearer("wrong")), 401);
  peer = "127.0.0.1";
  now += AdminAccess::kWrongKeyEvery;
  EXPECT_EQ(get(bearer("wrong")), 401);
  EXPECT_EQ(get(bearer("wrong")), 429);
}

TEST_F(Access, ANeighbourInTheSameIpv6NetworkIsTheSame) {
  config.key = base::Secret(kKey);
  for (int i = 0; i < AdminAccess::kWrongKeys; ++i) {
    peer = fmt::format("2001:db8::{}", i + 1);
    EXPECT_EQ(get(bearer("wrong")), 401);
  }
  EXPECT_EQ(get(bearer("wrong")), 429);
  peer = "2001:db8:0:1::1";
  EXPECT_EQ(get(bearer("wrong")), 401);
}

TEST_F(Access, RemembersABoundedNumberOfAddresses) {
  config.key = base::Secret(kKey);
  for (int i = 0; i <= AdminAccess::kWrongKeys; ++i) (void)get(bearer("wrong"));
  EXPECT_EQ(get(bearer("wrong")), 429);
  for (std::size_t i = 0; i < AdminAccess::kAddressesMax; ++i) {
    now += 1ms;
    peer = fmt::format("10.0.{}.{}", i / 250, i % 250);
    EXPECT_EQ(get(bearer("wrong")), 401);
  }
  peer = "127.0.0.1";
  EXPECT_EQ(get(bearer("wrong")), 401);
}

TEST_F(Access, AReloadChangesTheKeyAndKeepsTheCount) {
  config.key = base::Secret(kKey);
  for (int i = 0; i < AdminAccess::kWrongKeys - 1; ++i) EXPECT_EQ(get(bearer("wrong")), 401);
  config.key = base::Secret("another-key-of-some-length");
  access->change(config);
  EXPECT_EQ(get(bearer("another-key-of-some-length")), 0);
  EXPECT_EQ(get(bearer(kKey)), 401);
  EXPECT_EQ(get(bearer(kKey)), 429);
}

TEST_F(Access, ChangesComeFromOurOwnPageOrFromPrograms) {
  const Given json{{"content-type", "application/json; charset=utf-8"}};
  auto with = [&](const std::string& name, const std::string& value) {
    Given given = json;
    given.emplace_back(name, value);
    return ask("POST", "/admin/v1/models", given);
  };
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    EXPECT_EQ(ask(method, "/admin/v1/models", json), 0) << method;
    EXPECT_EQ(ask(method, "/admin/v1/models", {}), method == std::string("DELETE") ? 0 : 415) << method;
  }
  for (const char* form :
       {"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/jsonp"})
    EXPECT_EQ(ask("POST", "/admin/v1/models", {{"content-type", form}}), 415) << form;
  EXPECT_EQ(with("origin", "http://127.0.0.1:8081"), 0);
  EXPECT_EQ(with("sec-fetch-site", "same-origin"), 0);
  EXPECT_EQ(with("sec-fetch-site", "none"), 0);
  for (const char* origin :
       {"null", "http://evil.example", "http://127.0.0.1:8080", "http://127.0.0.1:8081.evil.example"})
    EXPECT_EQ(with("origin", origin), 403) << origin;
  for (const char* site : {"cross-site", "same-site"}) EXPECT_EQ(with("sec-fetch-site", site), 403) << site;
}

TEST_F(Access, ChangesNeedTheKeyToo) {
  config.key = base::Secret(kKey);
  EXPECT_EQ(ask("POST", "/admin/v1/models", {{"content-type", "application/json"}}), 401);
}

AdminConfig read(const std::string& yaml, std::string& report, bool insecure = false) {
  auto document = config::Document::parse("admin: " + yaml + "\n", "test.yaml");
  config::Map root = document->root().map();
  AdminConfig config = read_admin(root.get("admin"), insecure);
  root.done();
  report = document->report();
  return config;
}

TEST(AdminConfig, IsAnAddressOrAMap) {
  std::string report;
  EXPECT_EQ(read("127.0.0.1:9", report).endpoint.text(), "127.0.0.1:9");
  AdminConfig config = read("{ address: '[::1]:9', key: s, metrics_open: true }", report);
  EXPECT_EQ(report, "");
  EXPECT_EQ(config.endpoint.text(), "[::1]:9");
  EXPECT_EQ(config.key.reveal(), "s");
  EXPECT_TRUE(config.metrics_open);
  EXPECT_EQ(read("{ key: s }", report).endpoint.text(), "127.0.0.1:8081");
}

TEST(AdminConfig, BeyondLoopbackNeedsKeyAndTls) {
  std::string report;
  for (const char* open :
       {"0.0.0.0:9", "{ address: '0.0.0.0:9', key: s }", "{ address: '0.0.0.0:9', tls: { cert: c, key: k } }"}) {
    read(open, report);
    EXPECT_THAT(report, HasSubstr("reachable from outside")) << open;
    read(open, report, true);
    EXPECT_EQ(report, "") << open;
  }
  read("{ address: '0.0.0.0:9', key: s, tls: { cert: c, key: k } }", report);
  EXPECT_EQ(report, "");
  read("{ key: '' }", report);
  EXPECT_THAT(report, HasSubstr("the key is empty"));
}

TEST_F(Access, AGatewayKeyThatCanAdminIsTakenAndNamed) {
  config.key = base::Secret(kKey);
  access.emplace().change(config);
  access->accept_keys([](std::string_view secret, const net::Endpoint&) -> Result<std::string> {
    if (secret == "pk-chief") return "chief";
    if (secret == "pk-other") return fail(Errc::permission_denied, "the API key 'other' may not");
    return fail(Errc::unauthenticated, "nobody's");
  });
  EXPECT_EQ(get(bearer("pk-chief")), 0);
  EXPECT_EQ(access->key_name(), "chief");
  EXPECT_EQ(get(bearer(kKey)), 0);
  EXPECT_EQ(access->key_name(), "");
  EXPECT_EQ(get(bearer("pk-other")), 403);
  EXPECT_EQ(get(bearer("pk-nobody")), 401);
  EXPECT_EQ(access->key_name(), "");
}

TEST_F(Access, ADeletionNeedsNoBodyAndNoType) {
  EXPECT_EQ(ask("DELETE", "/admin/v1/keys/app", {}), 0);
  EXPECT_EQ(ask("DELETE", "/admin/v1/keys/app", {{"origin", "http://evil.example"}}), 403);
  EXPECT_EQ(ask("DELETE", "/admin/v1/keys/app", {{"sec-fetch-site", "cross-site"}}), 403);
  EXPECT_EQ(ask("POST", "/admin/v1/keys", {}), 415);
  EXPECT_EQ(ask("PATCH", "/admin/v1/keys/app", {{"content-type", "text/plain"}}), 415);
}

}  // namespace
}  // namespace penstock::app
