#include "flow/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rfc3339.h"
#include "flow/key_table.h"

namespace penstock::flow {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

const std::vector<std::string> kApis{"anthropic", "openai"};
constexpr base::WallMicros kNow = 1'700'000'000'000'000;

DeclaredKey declared(std::string name, std::string secret) {
  DeclaredKey key;
  key.name = std::move(name);
  key.secrets.emplace_back(std::move(secret));
  return key;
}

class KeyTableTest : public testing::Test {
 protected:
  static std::string hash_of(std::string_view secret) { return base::hmac_sha256_hex("installation", secret); }
  Result<void> put(const std::string& id, std::vector<std::pair<std::string, base::WallMicros>> secrets,
                   const std::string& scopes = {}, bool revoked = false) {
    std::vector<std::string> hashes;
    std::vector<KeyRecord::Secret> known;
    for (const auto& [secret, expires] : secrets) hashes.push_back(hash_of(secret));
    for (std::size_t i = 0; i < secrets.size(); ++i) known.push_back({hashes[i], secrets[i].second});
    std::string name = "name of " + id;
    KeyRecord record;
    record.id = id;
    record.name = name;
    record.scopes = scopes;
    record.priority = "normal";
    record.revoked = revoked;
    record.secrets = known;
    return table.put(record);
  }
  std::string found(std::string_view secret, base::WallMicros now = kNow) {
    const Key* key = table.find(secret, now);
    return key == nullptr ? "" : std::string(key->name().view());
  }
  KeyTable table{base::Secret("installation")};
};

TEST_F(KeyTableTest, FindsDeclaredAndStoredKeys) {
  table.declare({declared("app", "declared-secret-1")});
  ASSERT_TRUE(put("one", {{"stored-secret-1", 0}}));
  for (int i = 0; i < 2; ++i) {  // the second time from this thread's memory
    EXPECT_EQ(found("declared-secret-1"), "app");
    EXPECT_EQ(found("stored-secret-1"), "name of one");
    EXPECT_EQ(found("other"), "");
    EXPECT_EQ(found(""), "");
  }
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.stored(), 1U);
}

TEST_F(KeyTableTest, AChangedDeclarationIsInForceAtOnce) {
  table.declare({declared("app", "declared-secret-1"), declared("gone", "declared-secret-2")});
  const Key* gone = table.find("declared-secret-2", kNow);
  ASSERT_NE(gone, nullptr);
  table.declare({declared("app", "declared-secret-3")});
  EXPECT_EQ(found("declared-secret-1"), "");
  EXPECT_EQ(found("declared-secret-2"), "");
  EXPECT_EQ(found("declared-secret-3"), "app");
  EXPECT_TRUE(gone->revoked()) << "for calls that stand";
  table.declare({declared("app", "declared-secret-2"), declared("gone", "declared-secret-3")});
  EXPECT_EQ(found("declared-secret-2"), "app") << "secrets may change hands";
  EXPECT_EQ(found("declared-secret-3"), "gone");
  EXPECT_EQ(table.size(), 2U);
}

TEST_F(KeyTableTest, RevokingIsSeenByWhoeverKnowsTheSecret) {
  ASSERT_TRUE(put("one", {{"stored-secret-1", 0}}));
  EXPECT_EQ(found("stored-secret-1"), "name of one");
  std::atomic<int> seen{0};
  std::thread other([&] {
    while (table.find("stored-secret-1", kNow) != nullptr) seen = 1;
    seen = 2;
  });
  while (seen == 0) std::this_thread::yield();
  ASSERT_TRUE(put("one", {}, "", true));
  other.join();
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(found("stored-secret-1"), "");
  EXPECT_EQ(table.size(), 0U);
  EXPECT_TRUE(put("never seen", {}, "", true));
}

TEST_F(KeyTableTest, ARotatedSecretWorksUntilItsTimeIsOver) {
  ASSERT_TRUE(put("one", {{"old-secret", 0}}));
  EXPECT_EQ(found("old-secret"), "name of one");
  ASSERT_TRUE(put("one", {{"old-secret", kNow}, {"new-secret", 0}}));
  EXPECT_EQ(found("old-secret", kNow - 1), "name of one");
  EXPECT_EQ(found("new-secret", kNow - 1), "name of one");
  EXPECT_EQ(found("old-secret", kNow), "");
  EXPECT_EQ(found("new-secret", kNow), "name of one");
  ASSERT_TRUE(put("one", {{"new-secret", 0}}));
  EXPECT_EQ(found("old-secret", kNow - 1), "");
  EXPECT_EQ(table.size(), 1U);
}

TEST_F(KeyTableTest, AKeyHasAsManySecretsAsTheStoreSays) {
  std::vector<std::pair<std::string, base::WallMicros>> secrets;
  for (int i = 0; i < 40; ++i) secrets.emplace_back(fmt::format("secret-{}", i), i == 39 ? 0 : kNow + 1);
  ASSERT_TRUE(put("one", secrets));
  for (const auto& [secret, expires] : secrets) EXPECT_EQ(found(secret), "name of one") << secret;
}

TEST_F(KeyTableTest, WhatNobodyUnderstandsIsAllowedNothing) {
  for (const char* scopes : {"{", "[]", R"({"models":"chat"})", R"({"modles":["chat"]})", R"({"can":["fly"]})",
                             R"({"from":["10.0.0.1/8"]})", R"({"models":["!"]})", R"({"models":[1]})"}) {
    auto done = put("one", {{"stored-secret-1", 0}}, scopes);
    ASSERT_FALSE(done.has_value()) << scopes;
    EXPECT_EQ(done.error().code, Errc::invalid_argument);
    ASSERT_NE(table.find("stored-secret-1", kNow), nullptr);
    EXPECT_NE(table.find("stored-secret-1", kNow)->profile().broken, "");
  }
}

TEST_F(KeyTableTest, GrowsWhileOthersRead) {
  ASSERT_TRUE(put("first", {{"secret of first", 0}}));
  std::atomic<bool> stop{false};
  std::atomic<int> missed{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      int n = 0;
      while (!stop) {
        missed += table.find("secret of first", kNow) == nullptr ? 1 : 0;
        table.find(fmt::format("secret of {}", n++ % 2000), kNow);
        if (const Key* key = table.find("secret of 1", kNow)) table.note_use(*key, kNow + n * 60'000'000LL);
      }
    });
  }
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 2000; ++i) {
      std::string id = std::to_string(i);
      ASSERT_TRUE(
          put(id, {{"secret of " + id, 0}}, i % 2 == 0 ? R"({"models":["chat"]})" : "", round == 1 && i % 3 == 0));
    }
    (void)table.take_used();
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(missed, 0);
  EXPECT_EQ(table.size(), 2001U);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(found(fmt::format("secret of {}", i)), fmt::format("name of {}", i));
}

TEST_F(KeyTableTest, LastUseIsNotedOnceAMinute) {
  table.declare({declared("app", "declared-secret-1")});
  ASSERT_TRUE(put("one", {{"s1", 0}}));
  ASSERT_TRUE(put("two", {{"s2", 0}}));
  const Key* one = table.find("s1", kNow);
  EXPECT_EQ(one->last_used(), 0);
  for (int i = 0; i < 3; ++i) table.note_use(*one, kNow + i);
  table.note_use(*table.find("s2", kNow), kNow);
  table.note_use(*table.find("declared-secret-1", kNow), kNow);
  base::WallMicros minute = kNow - kNow % 60'000'000;
  EXPECT_EQ(one->last_used(), minute);
  EXPECT_THAT(table.take_used(),
              UnorderedElementsAre(std::pair(std::string("one"), minute), std::pair(std::string("two"), minute)));
  EXPECT_THAT(table.take_used(), ElementsAre());
  table.note_use(*one, kNow + 60'000'000);
  EXPECT_EQ(table.take_used().size(), 1U);
}

TEST_F(KeyTableTest, WhoGetsANameLaterOwnsSomethingElse) {
  auto owner = [&](const std::string& secret) {
    table.declare({declared("app", secret)});
    return table.owner_of(*table.find(secret, kNow));
  };
  std::string first = owner("declared-secret-1");
  EXPECT_NE(owner("declared-secret-2"), first);
  EXPECT_EQ(owner("declared-secret-1"), first);
  ASSERT_TRUE(put("one", {{"s1", 0}}));
  ASSERT_TRUE(put("two", {{"s2", 0}}));
  std::string one = table.owner_of(*table.find("s1", kNow));
  EXPECT_NE(one, table.owner_of(*table.find("s2", kNow)));
  EXPECT_NE(one, first);
  EXPECT_FALSE(hash_of("s1").starts_with(one));
  KeyTable after(base::Secret("installation"));
  after.declare({declared("app", "declared-secret-1")});
  EXPECT_EQ(after.owner_of(*after.find("declared-secret-1", kNow)), first) << "after a restart";
}

TEST_F(KeyTableTest, SecretsHashAsTheStoreHasThem) {
  for (std::string key : {std::string("k"), std::string(64, 'k'), std::string(200, 'k'), std::string()}) {
    SecretHasher hasher(key);
    for (std::size_t size : {0U, 1U, 55U, 56U, 63U, 64U, 200U}) {
      std::string secret(size, 's');
      SecretHash hash{};
      ASSERT_TRUE(read_hex(base::hmac_sha256_hex(key, secret), hash));
      EXPECT_EQ(hasher(secret), hash) << key.size() << " " << size;
    }
  }
  SecretHash hash{};
  EXPECT_FALSE(read_hex("", hash));
  EXPECT_FALSE(read_hex(std::string(64, 'G'), hash));
}

TEST_F(KeyTableTest, AccountsFollowTheRules) {
  quota::Book book;
  KeyTable limited(base::Secret("x"), &book);
  DeclaredKey app = declared("app", "declared-secret-1");
  limited.declare({app});
  const Key* key = limited.find("declared-secret-1", kNow);
  EXPECT_EQ(limited.account_of(*key), nullptr);
  app.rules.limits.concurrent = 3;
  limited.declare({app});
  quota::Account* account = limited.account_of(*key);
  ASSERT_NE(account, nullptr);
  EXPECT_EQ(account->id(), "key:app");
  EXPECT_TRUE(account->limited());
  app.rules = {};
  limited.declare({app});
  EXPECT_FALSE(limited.account_of(*key)->limited());
}

std::string report_of(std::string_view text, const std::vector<TeamSpec>& teams = {}) {
  auto doc = config::Document::parse(text, "k.yaml");
  parse_keys(doc->root(), kApis, teams);
  return doc->report();
}

TEST(ParseKeys, ReadsWhatAKeyIsGoodFor) {
  auto doc = config::Document::parse(
      "- name: app\n  secret: [ 0123456789abcdef0, 0123456789abcdef1 ]\n  team: lab\n  models: [chat, '!chat-x', "
      "'lab/*']\n  apis: [openai]\n  can: [chat, admin]\n  from: [10.0.0.0/8, '::1']\n  expires: "
      "2027-01-31T00:00:00Z\n  labels: { app: billing }\n  priority: high\n  limits: { rpm: 600 }\n",
      "k.yaml");
  auto keys = parse_keys(doc->root(), kApis, {{"lab", "", {}, {}}});
  EXPECT_EQ(doc->report(), "");
  ASSERT_EQ(keys.size(), 1U);
  const DeclaredKey& key = keys[0];
  EXPECT_EQ(key.secrets.size(), 2U);
  EXPECT_EQ(key.team, "lab");
  EXPECT_EQ(to_text(key.scopes), R"({"models":["chat","lab/*","!chat-x"],"apis":["openai"],"can":["chat","admin"],)"
                                 R"("from":["10.0.0.0/8","::1"]})");
  EXPECT_EQ(*parse_scopes(to_text(key.scopes)), key.scopes);
  EXPECT_EQ(key.expires, *base::parse_rfc3339("2027-01-31T00:00:00Z"));
  EXPECT_EQ(key.labels.at("app"), "billing");
  EXPECT_EQ(key.priority, Priority::high);
  EXPECT_EQ(key.rules.limits.rates.size(), 1U);
  EXPECT_TRUE(key.scopes.allows_model("chat"));
  EXPECT_TRUE(key.scopes.allows_model("lab/x"));
  EXPECT_FALSE(key.scopes.allows_model("chat-x"));
  EXPECT_FALSE(key.scopes.allows_model("other"));
}

TEST(ParseKeys, ReportsMistakesInPlace) {
  std::string report =
      report_of("- { name: a, secret: \"\" }\n- { name: a, secret: 0123456789abcdef0, limts: { rpm: 1 } }\n");
  EXPECT_THAT(report, HasSubstr("k.yaml:1:22: [0].secret: the secret is empty"));
  EXPECT_THAT(report, HasSubstr("did you mean 'limits'?"));
  EXPECT_THAT(report, HasSubstr("'a' appears twice"));
  EXPECT_THAT(report_of("- { name: a, secret: [] }"), HasSubstr("the list of secrets is empty"));
  EXPECT_THAT(report_of("- { name: a, secret: x, apis: [opnai] }"),
              HasSubstr("k.yaml:1:32: [0].apis[0]: there is no API 'opnai'; there are: anthropic, openai"));
  EXPECT_THAT(report_of("- { name: a, secret: x, can: [fly] }"), HasSubstr("there is no capability 'fly'"));
  EXPECT_THAT(report_of("- { name: a, secret: x, from: [10.1.2.3/8] }"), HasSubstr("[0].from[0]"));
  EXPECT_THAT(report_of("- { name: a, secret: x, expires: tomorrow }"), HasSubstr("'tomorrow' is no time"));
  EXPECT_THAT(report_of("- { name: a, secret: x, team: lba }", {{"lab", "", {}, {}}}),
              HasSubstr("there is no team 'lba' under `teams:`; did you mean 'lab'?"));
  EXPECT_THAT(report_of("- { name: a, secret: [x, y] }\n- { name: b, secret: [z, y] }"),
              HasSubstr("the keys 'a' and 'b' have the same secret"));
  EXPECT_THAT(report_of("- { name: a, secret: x, priority: urgent }"), HasSubstr("priority"));
}

TEST(ParseKeys, TakesAnIdentityInsteadOfASecret) {
  auto doc = config::Document::parse(
      "- { name: press, identity: 'spiffe://plant/press' }\n- { name: app, secret: short }\n", "k.yaml");
  auto keys = parse_keys(doc->root(), kApis);
  EXPECT_EQ(doc->report(), "");
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_FALSE(keys[0].weak());
  EXPECT_TRUE(keys[1].weak());
  KeyTable table(base::Secret("installation"));
  table.declare(keys);
  EXPECT_EQ(table.size(), 2U);
  ASSERT_TRUE(table.find_identity("spiffe://plant/press"));
  EXPECT_EQ(table.find_identity("spiffe://plant/press")->name().view(), "press");
  for (const char* other : {"", "short", "spiffe://plant/pres", "SPIFFE://plant/press"})
    EXPECT_FALSE(table.find_identity(other)) << other;
  EXPECT_FALSE(table.find("", kNow)) << "a key without a secret is nobody's secret";
  table.declare({});
  EXPECT_FALSE(table.find_identity("spiffe://plant/press"));
}

TEST(ParseKeys, ReportsMistakesWithIdentities) {
  std::string report = report_of(
      "- { name: a, identity: x, secret: 0123456789abcdef0 }\n- { name: b, identity: x }\n- { name: c, identity: '' "
      "}\n");
  EXPECT_THAT(report, AllOf(HasSubstr("known either by its `secret` or by the `identity`"),
                            HasSubstr("'a' and 'b' have the same identity"), HasSubstr("the identity is empty")));
}

std::string team_report(std::string_view text) {
  auto doc = config::Document::parse(text, "t.yaml");
  parse_teams(doc->root(), kApis);
  return doc->report();
}

TEST(ParseTeams, ReportsWhatDoesNotFit) {
  EXPECT_EQ(team_report("acme: {}\nlab: { in: acme, models: [chat], limits: { rpm: 5 } }\n"), "");
  EXPECT_THAT(team_report("lab: { in: acme }\n"), HasSubstr("t.yaml:1:12: lab.in: there is no team 'acme'"));
  EXPECT_THAT(team_report("a: { in: b }\nb: { in: a }\n"), HasSubstr("the team 'a' is in itself"));
  EXPECT_THAT(team_report("a: { in: a }\n"), HasSubstr("the team 'a' is in itself"));
  std::string deep = "t0: {}\n";
  for (int i = 1; i < 8; ++i) deep += fmt::format("t{}: {{ in: t{} }}\n", i, i - 1);
  EXPECT_EQ(team_report(deep), "");
  EXPECT_THAT(team_report(deep + "t8: { in: t7 }\n"), HasSubstr("t.yaml:9:11: t8.in: a team is at most 8 levels deep"));
  EXPECT_THAT(team_report("x: { in: a }\na: { in: b }\nb: { in: a }\n"), HasSubstr("is in itself"));
}

TEST(Teams, LeadUpwards) {
  quota::Book book;
  TeamSpec lab{"lab", "acme", {}, {}};
  lab.rules.limits.concurrent = 2;
  TeamSpec acme{"acme", "", {}, {}};
  acme.rules.limits.concurrent = 5;
  std::vector<std::string> problems;
  Teams teams({lab, acme, {"lost", "nowhere", {}, {}}, {"under", "lost", {}, {}}, {"lab", "", {}, {}}}, &book,
              problems);
  const Team* found = teams.find(obs::intern("lab"));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->above, teams.find(obs::intern("acme")));
  ASSERT_EQ(found->accounts.size(), 2U);
  EXPECT_EQ(found->accounts[0]->id(), "team:lab");
  EXPECT_EQ(found->accounts[1]->id(), "team:acme");
  EXPECT_EQ(teams.find(obs::intern("lost")), nullptr);
  EXPECT_EQ(teams.find(obs::intern("under")), nullptr);
  EXPECT_EQ(teams.list().size(), 2U);
  EXPECT_EQ(problems.size(), 3U);
}

TEST(Rfc3339, ReadsTimesAsPeopleWriteThem) {
  EXPECT_EQ(base::parse_rfc3339("1970-01-01T00:00:00Z").value(), 0);
  EXPECT_EQ(base::parse_rfc3339("2023-11-14T22:13:20Z").value(), 1'700'000'000'000'000);
  EXPECT_EQ(base::parse_rfc3339("2023-11-15t00:13:20.5+02:00").value(), 1'700'000'000'500'000);
  EXPECT_EQ(base::parse_rfc3339("2023-11-14 17:13:20.123456789-05:00").value(), 1'700'000'000'123'456);
  for (const char* wrong : {"", "2023-11-14", "2023-11-14T22:13:20", "2023-02-30T00:00:00Z", "2023-11-14T24:00:00Z",
                            "2023-11-14T22:13:20ZZ", "2023-11-14T22:13:20.Z", "23-11-14T22:13:20Z", "tomorrow"})
    EXPECT_FALSE(base::parse_rfc3339(wrong).has_value()) << wrong;
}

}  // namespace
}  // namespace penstock::flow
