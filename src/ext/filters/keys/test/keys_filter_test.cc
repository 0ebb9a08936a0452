#include "ext/filters/keys/keys_filter.h"

#include <gmock/gmock.h>

#include "flow/device_caller.h"
#include "flow/dialect.h"
#include "flow/permission.h"
#include "http/test/fake_exchange.h"

namespace penstock::ext {
namespace {

using testing::HasSubstr;
using testing::Not;

class NoDialect : public flow::Dialect {
 public:
  std::string error_body(int, const Error& error, std::string_view) const override { return error.detail; }
};

constexpr base::WallMicros kNow = 1'700'000'000'000'000;

flow::DeclaredKey declared(std::string_view name, std::string secret, std::vector<std::string> models = {},
                           base::WallMicros expires = 0) {
  flow::DeclaredKey key;
  key.name = name;
  key.scopes.models = std::move(models);
  key.expires = expires;
  if (!secret.empty()) key.secrets.emplace_back(std::move(secret));
  return key;
}

struct KeysFilterTest : testing::Test {
  rt::Loop loop;
  NoDialect dialect;
  KeysFilter filter;

  // Without keys everybody may call.
  static std::shared_ptr<const flow::Policy> policy(bool with_keys = true) {
    std::vector<flow::DeclaredKey> keys;
    if (with_keys) {
      keys.push_back(declared("app", "secret-of-app-01"));
      keys.push_back(declared("narrow", "secret-of-narrow", {"chat", "lab/*"}));
      keys.push_back(declared("old", "secret-of-old-01", {}, kNow));
      keys.push_back(declared("odd", "a/b c+d&e=f-0001"));
      keys.push_back(declared("press", ""));
      keys.back().identity = "spiffe://plant/press";
    }
    flow::Callers callers;
    callers.keys->declare(keys);
    return std::make_shared<const flow::Policy>(std::move(callers), !with_keys,
                                                std::vector<std::unique_ptr<flow::Filter>>{});
  }

  // The name of the key that was found, or the refusal.
  std::string identify(http::FakeExchange& exchange, base::WallMicros at = kNow - 1) {
    flow::Call call(exchange, dialect, policy());
    call.event.at = at;
    auto passed = filter.on_head(call);
    if (!passed) {
      EXPECT_EQ(passed.error().code, Errc::unauthenticated);
      EXPECT_FALSE(call.key);
      return passed.error().detail;
    }
    EXPECT_TRUE(call.key);
    return call.key ? std::string(call.key->name().view()) : "";
  }
  std::string identify_with(std::string_view field, std::string_view value, std::string target = "/v1/models") {
    http::FakeExchange exchange(loop, "GET", std::move(target));
    exchange.field(field, value);
    return identify(exchange);
  }
};

TEST_F(KeysFilterTest, TakesTheCredentialFromWhereverAnSdkPutsIt) {
  EXPECT_EQ(identify_with("Authorization", "Bearer secret-of-app-01"), "app");
  EXPECT_EQ(identify_with("authorization", "bearer   secret-of-app-01"), "app");
  EXPECT_EQ(identify_with("X-Api-Key", "secret-of-app-01"), "app");
  EXPECT_EQ(identify_with("x-goog-api-key", "secret-of-app-01"), "app");
  EXPECT_EQ(identify_with("api-key", "secret-of-app-01"), "app");
  EXPECT_EQ(identify_with("accept", "*/*", "/v1/models?a=b&key=secret-of-app-01"), "app");
  EXPECT_EQ(identify_with("accept", "*/*", "/v1/models?key=a%2Fb+c%2Bd%26e%3Df-0001"), "odd");
}

TEST_F(KeysFilterTest, LooksElsewhereWhenAuthorizationIsNoBearerToken) {
  http::FakeExchange exchange(loop, "GET", "/");
  exchange.field("authorization", "Basic dXNlcjpwYXNz");
  exchange.field("x-api-key", "secret-of-app-01");
  EXPECT_EQ(identify(exchange), "app");
}

TEST_F(KeysFilterTest, BelievesTheBearerTokenFirst) {
  http::FakeExchange exchange(loop, "GET", "/?key=secret-of-app-01");
  exchange.field("x-api-key", "secret-of-app-01");
  exchange.field("authorization", "Bearer unknown");
  EXPECT_THAT(identify(exchange), HasSubstr("not known"));
}

TEST_F(KeysFilterTest, RefusesWhoSendsNone) {
  http::FakeExchange exchange(loop, "GET", "/?key=&apikey=secret-of-app-01");
  exchange.field("authorization", "Bearer ");
  EXPECT_THAT(identify(exchange), HasSubstr("no API key was sent"));
}

TEST_F(KeysFilterTest, KnowsACallerByItsCertificate) {
  http::FakeExchange exchange(loop, "GET", "/");
  http::Peer peer;
  peer.tls.identity = "spiffe://plant/press";
  exchange.from(peer);
  EXPECT_EQ(identify(exchange), "press");
  exchange.field("authorization", "Bearer made-up-by-an-sdk");
  EXPECT_EQ(identify(exchange), "press");
  exchange.field("x-api-key", "secret-of-app-01");
  EXPECT_EQ(identify(exchange), "press") << "the bearer token comes first, and nobody knows it";
}

// With a device among the stored keys: known by a secret and a certificate.
std::shared_ptr<const flow::Policy> with_device(bool open) {
  base::Secret installation("an installation's secret");
  flow::Callers callers;
  callers.keys = std::make_shared<flow::KeyTable>(installation);
  std::string identity = "urn:penstock:device:press-7:0A";
  std::string by_secret = base::hmac_sha256_hex(installation.reveal(), "pd-secret");
  std::string by_certificate =
      base::hmac_sha256_hex(installation.reveal(), flow::stored_identity(installation, identity));
  std::vector<flow::KeyRecord::Secret> secrets{{by_secret, 0}, {by_certificate, 0}};
  flow::KeyRecord record;
  record.id = "device:press-7";
  record.name = "device:press-7";
  record.scopes = R"({"apis":["ingest","devices"],"can":["ingest"]})";
  record.priority = "normal";
  record.secrets = secrets;
  EXPECT_TRUE(callers.keys->put(record).has_value());
  return std::make_shared<const flow::Policy>(std::move(callers), open, std::vector<std::unique_ptr<flow::Filter>>{});
}

TEST_F(KeysFilterTest, KnowsADeviceByItsSecretOrItsCertificate) {
  for (bool open : {false, true}) {
    auto device = [&](std::string_view field, std::string_view value, const std::string& identity,
                      const char* route = "/ingest/{source}") -> std::string {
      http::FakeExchange exchange(loop, "POST", "/ingest/plant");
      http::Peer peer;
      peer.tls.identity = identity;
      exchange.from(peer);
      if (!field.empty()) exchange.field(field, value);
      flow::Call call(exchange, dialect, with_device(open));
      call.event.at = kNow;
      call.event.api = obs::intern("ingest");
      call.event.route = obs::intern(route);
      if (!filter.on_head(call)) return "refused";
      return std::string(flow::device_of(call.key));
    };
    EXPECT_EQ(device("authorization", "Bearer pd-secret", ""), "press-7");
    EXPECT_EQ(device("", "", "urn:penstock:device:press-7:0A"), "press-7");
    std::string nobody = open ? "" : "refused";
    EXPECT_EQ(device("", "", "urn:penstock:device:press-7:0B"), nobody);
    EXPECT_EQ(device("x-api-key", "urn:penstock:device:press-7:0A", ""), nobody) << "an identity is no secret";
    EXPECT_EQ(device("x-api-key", "pd-other", ""), nobody);
    EXPECT_EQ(device("authorization", "Bearer pd-secret", "", "/pipelines/{name}/events"), "refused");
  }
}

TEST_F(KeysFilterTest, BelievesAKnownKeyBeforeTheCertificate) {
  http::FakeExchange exchange(loop, "GET", "/");
  http::Peer peer;
  peer.tls.identity = "spiffe://plant/press";
  exchange.from(peer);
  exchange.field("x-api-key", "secret-of-app-01");
  EXPECT_EQ(identify(exchange), "app");
}

TEST_F(KeysFilterTest, RefusesACertificateThatNoKeyIsBoundTo) {
  http::FakeExchange exchange(loop, "GET", "/");
  http::Peer peer;
  peer.tls.identity = "spiffe://plant/press2";
  exchange.from(peer);
  EXPECT_THAT(identify(exchange), HasSubstr("no key is bound to the identity 'spiffe://plant/press2'"));
  // The identity is no secret that could be sent.
  EXPECT_THAT(identify_with("x-api-key", "spiffe://plant/press"), HasSubstr("not known"));
  EXPECT_THAT(identify_with("x-api-key", ""), HasSubstr("no API key was sent"));
}

TEST_F(KeysFilterTest, RefusesUnknownKeysWithoutRepeatingThem) {
  std::string refusal = identify_with("x-api-key", "secret-of-app-02");
  EXPECT_THAT(refusal, HasSubstr("not known"));
  EXPECT_THAT(refusal, Not(HasSubstr("secret-of")));
  EXPECT_THAT(identify_with("x-api-key", "secret-of-app-0"), HasSubstr("not known"));
  EXPECT_THAT(identify_with("x-api-key", "secret-of-app-01x"), HasSubstr("not known"));
  EXPECT_THAT(identify_with("x-api-key", std::string(100'000, 'k')), HasSubstr("not known"));
}

TEST_F(KeysFilterTest, RefusesAnExpiredKeyAndSaysWhen) {
  http::FakeExchange exchange(loop, "GET", "/");
  exchange.field("x-api-key", "secret-of-old-01");
  EXPECT_EQ(identify(exchange, kNow - 1), "old");
  EXPECT_THAT(identify(exchange, kNow), HasSubstr("the API key 'old' expired at 2023-11-14T22:13:20"));
}

TEST_F(KeysFilterTest, LetsEverybodyInWhereThereAreNoKeys) {
  http::FakeExchange exchange(loop, "GET", "/");
  exchange.field("x-api-key", "whatever");
  flow::Call call(exchange, dialect, policy(false));
  EXPECT_TRUE(filter.on_head(call).has_value());
  EXPECT_FALSE(call.key);
  call.model = "anything";
  EXPECT_TRUE(filter.on_request(call).await_resume().has_value());
}

TEST_F(KeysFilterTest, ATableWithoutKeysDoesNotOpenTheDoor) {
  http::FakeExchange exchange(loop, "GET", "/");
  exchange.field("x-api-key", "whatever");
  flow::Call call(
      exchange, dialect,
      std::make_shared<const flow::Policy>(flow::Callers{}, false, std::vector<std::unique_ptr<flow::Filter>>{}));
  EXPECT_FALSE(filter.on_head(call).has_value());
}

TEST_F(KeysFilterTest, ChecksTheModel) {
  http::FakeExchange exchange(loop, "POST", "/");
  exchange.field("x-api-key", "secret-of-narrow");
  flow::Call call(exchange, dialect, policy());
  ASSERT_TRUE(filter.on_head(call).has_value());
  EXPECT_TRUE(filter.on_request(call).await_resume().has_value()) << "a call about no model";
  for (const char* model : {"chat", "lab/llama"}) {
    call.model = model;
    EXPECT_TRUE(filter.on_request(call).await_resume().has_value()) << model;
  }
  for (const char* model : {"chat2", "lab", "cloud/x", "Chat"}) {
    call.model = model;
    auto passed = filter.on_request(call).await_resume();
    ASSERT_FALSE(passed.has_value()) << model;
    EXPECT_EQ(passed.error().code, Errc::permission_denied);
    EXPECT_THAT(passed.error().detail, HasSubstr("it may use: chat, lab/*"));
  }
  call.model = std::string(100'000, 'm');
  EXPECT_LT(filter.on_request(call).await_resume().error().detail.size(), 300U);
}

// One key in a team in an organisation, and what they allow.
struct ScopesTest : KeysFilterTest {
  flow::Scopes key, team, organisation;
  http::FakeExchange exchange{loop, "POST", "/"};
  std::string api = "openai";
  std::string in = "lab";
  std::shared_ptr<const flow::Policy> kept;

  Result<void> ask(std::string model, flow::Capabilities needs = {}) {
    flow::Callers callers;
    flow::DeclaredKey app = declared("app", "secret-of-app-01");
    app.scopes = key;
    app.team = in;
    callers.keys->declare({app});
    std::vector<std::string> problems;
    callers.teams = flow::Teams({{"lab", "acme", team, {}}, {"acme", "", organisation, {}}}, nullptr, problems);
    kept =
        std::make_shared<const flow::Policy>(std::move(callers), false, std::vector<std::unique_ptr<flow::Filter>>{});
    flow::Call call(exchange, dialect, kept);
    call.event.at = kNow;
    call.event.api = obs::intern(api);
    call.event.client = {call.client().address(), false};
    call.model = std::move(model);
    call.needs = needs;
    auto passed = filter.on_head(call);
    EXPECT_EQ(passed.has_value(), call.key != nullptr);
    return passed ? filter.on_request(call).await_resume() : passed;
  }
  void SetUp() override { exchange.field("x-api-key", "secret-of-app-01"); }
  static std::string refusal(const Result<void>& passed) {
    if (passed) return "";
    EXPECT_EQ(passed.error().code, Errc::permission_denied);
    return passed.error().detail;
  }
};

TEST_F(ScopesTest, AllMustAllowTheModel) {
  EXPECT_TRUE(ask("chat"));
  organisation.models = {"chat", "lab/*"};
  team.models = {"lab/*", "chat"};
  team.denied = {"lab/secret*"};
  EXPECT_TRUE(ask("chat"));
  EXPECT_TRUE(ask("lab/x"));
  EXPECT_THAT(refusal(ask("lab/secret-1")), HasSubstr("the team 'lab' of the API key 'app' may not use the model "
                                                      "'lab/secret-1'; it may use: lab/*, chat, but not lab/secret*"));
  EXPECT_THAT(refusal(ask("other")), HasSubstr("the team 'lab'"));
  key.models = {"other"};
  EXPECT_THAT(refusal(ask("chat")), HasSubstr("the API key 'app' may not"));
}

TEST_F(ScopesTest, AllMustAllowTheApi) {
  organisation.apis = {"anthropic", "openai"};
  EXPECT_TRUE(ask("chat"));
  api = "oip";
  EXPECT_THAT(
      refusal(ask("chat")),
      HasSubstr("the team 'acme' of the API key 'app' may not use the API 'oip'; it may use: anthropic, openai"));
}

TEST_F(ScopesTest, TheAddressMustBeOneOfThose) {
  http::Peer peer;
  peer.endpoint = *net::parse_endpoint({"10.1.2.3", 5000});
  exchange.from(peer);
  team.from = {*net::Network::parse("10.0.0.0/8")};
  EXPECT_TRUE(ask("chat"));
  key.from = {*net::Network::parse("10.2.0.0/16"), *net::Network::parse("::1")};
  EXPECT_THAT(refusal(ask("chat")), HasSubstr("the API key 'app' may not be used from 10.1.2.3"));
}

TEST_F(ScopesTest, EverythingACallNeedsMustBeAllowed) {
  using enum flow::Capability;
  EXPECT_TRUE(ask("chat", {chat, tools, vision}));
  key.can = {chat, tools, admin};
  team.can = {chat, vision};
  EXPECT_TRUE(ask("chat", {chat}));
  EXPECT_THAT(refusal(ask("chat", {chat, vision})), HasSubstr("the API key 'app' is not good for vision"));
  EXPECT_THAT(refusal(ask("chat", {chat, tools})),
              HasSubstr("the team 'lab' of the API key 'app' is not good for tools"));
}

TEST_F(ScopesTest, ATeamThatIsGoneTakesItsKeysAlong) {
  in = "gone";
  EXPECT_THAT(refusal(ask("chat")), HasSubstr("the team 'gone' of the API key 'app' does not exist"));
  in = "";
  EXPECT_TRUE(ask("chat"));
}

TEST_F(ScopesTest, OnlyANamedAdminIsOne) {
  auto admin = [&] {
    (void)ask("chat");
    auto found = flow::find_admin(*kept, "secret-of-app-01", *net::parse_endpoint({"127.0.0.1", 1}), kNow);
    return found.has_value();
  };
  EXPECT_FALSE(admin());
  key.can = {flow::Capability::admin};
  EXPECT_TRUE(admin());
  key.from = {*net::Network::parse("10.0.0.0/8")};
  EXPECT_FALSE(admin());
  key.from.clear();
  team.can = {flow::Capability::chat};
  EXPECT_FALSE(admin());
  EXPECT_EQ(flow::find_admin(*kept, "nobody's", *net::parse_endpoint({"127.0.0.1", 1}), kNow).error().code,
            Errc::unauthenticated);
}

}  // namespace
}  // namespace penstock::ext
