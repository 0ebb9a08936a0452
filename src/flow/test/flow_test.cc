#include <gtest/gtest.h>

#include <set>

#include "flow/call.h"
#include "flow/keys.h"
#include "flow/rate_bucket.h"

namespace penstock::flow {
namespace {

using namespace std::chrono_literals;

TEST(RateBucket, GrantsABucketAndThenEvenly) {
  base::FakeClock clock;
  RateBucket bucket;
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(bucket.take(clock.steady(), 1, 60).granted) << i;
  auto refused = bucket.take(clock.steady(), 1, 60);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.retry_after, 1s);
  EXPECT_EQ(refused.remaining, 0);
  clock.advance(1s);
  EXPECT_TRUE(bucket.take(clock.steady(), 1, 60).granted);
  EXPECT_FALSE(bucket.take(clock.steady(), 1, 60).granted);
  clock.advance(10min);
  EXPECT_EQ(bucket.take(clock.steady(), 0, 60).remaining, 60) << "never more than a whole bucket";
}

TEST(RateBucket, IsExactUnderRaces) {
  base::FakeClock clock;
  RateBucket bucket;
  std::atomic<int> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) granted += bucket.take(clock.steady(), 1, 1000).granted ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted, 1000);
}

TEST(RateBucket, SettlesReservations) {
  base::FakeClock clock;
  RateBucket bucket;
  EXPECT_TRUE(bucket.take(clock.steady(), 500, 1000).granted);
  bucket.adjust(clock.steady(), -400, 1000);
  EXPECT_EQ(bucket.take(clock.steady(), 0, 1000).remaining, 900);
  bucket.adjust(clock.steady(), 1400, 1000);
  EXPECT_FALSE(bucket.take(clock.steady(), 1, 1000).granted) << "in debt";
  clock.advance(31s);
  EXPECT_TRUE(bucket.take(clock.steady(), 1, 1000).granted);
}

TEST(Glob, MatchesStars) {
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("lab/*", "lab/llama"));
  EXPECT_TRUE(glob_matches("*-mini", "gpt-4o-mini"));
  EXPECT_TRUE(glob_matches("a*b*c", "aXbXbc"));
  EXPECT_FALSE(glob_matches("lab/*", "cloud/x"));
  EXPECT_FALSE(glob_matches("chat", "chat2"));
}

KeyTable table_of(std::string secret, std::unordered_map<std::string, Key> stored = {}) {
  DeclaredKey declared;
  declared.key.name = obs::intern("app");
  declared.secret = base::Secret(std::move(secret));
  std::vector<DeclaredKey> all;
  all.push_back(std::move(declared));
  return {std::move(all), std::move(stored), base::Secret("installation")};
}

TEST(KeyTable, FindsDeclaredAndStoredKeys) {
  Key stored;
  stored.name = obs::intern("stored");
  KeyTable table = table_of("declared-secret-1", {{base::hmac_sha256_hex("installation", "stored-secret-1"), stored}});
  for (int i = 0; i < 2; ++i) {  // the second time from this thread's memory
    ASSERT_TRUE(table.find("declared-secret-1"));
    EXPECT_EQ(table.find("stored-secret-1")->name.view(), "stored");
    EXPECT_FALSE(table.find("other"));
    EXPECT_FALSE(table.find(""));
  }
}

TEST(KeyTable, ANewTableForgetsWhatTheOldOneKnew) {
  KeyTable before = table_of("declared-secret-1");
  EXPECT_TRUE(before.find("declared-secret-1"));
  KeyTable after = table_of("declared-secret-2");
  EXPECT_FALSE(after.find("declared-secret-1"));
}

TEST(KeyTable, WhoGetsANameLaterOwnsSomethingElse) {
  std::string hash = base::hmac_sha256_hex("installation", "stored-secret-1");
  auto stored = [&](std::string id) {
    Key key;
    key.name = obs::intern("app");
    key.id = std::move(id);
    return table_of("declared-secret-1", {{hash, key}}).find("stored-secret-1")->owner;
  };
  auto declared = [](std::string secret) { return table_of(secret).find(secret)->owner; };
  EXPECT_EQ(declared("declared-secret-1"), declared("declared-secret-1"));
  EXPECT_NE(declared("declared-secret-1"), declared("declared-secret-2"));
  EXPECT_EQ(stored("one"), stored("one"));
  EXPECT_NE(stored("one"), stored("two"));
  EXPECT_NE(stored("one"), declared("declared-secret-1"));
  EXPECT_FALSE(hash.starts_with(stored("one")));
}

TEST(ParseKeys, ReportsMistakesInPlace) {
  auto doc = config::Document::parse(
      "- { name: a, secret: \"\" }\n- { name: a, secret: 0123456789abcdef0, limts: { rpm: 1 } }\n", "k.yaml");
  parse_keys(doc->root());
  std::string report = doc->report();
  EXPECT_NE(report.find("k.yaml:1:22: [0].secret: the secret is empty"), std::string::npos) << report;
  EXPECT_NE(report.find("did you mean 'limits'?"), std::string::npos) << report;
  EXPECT_NE(report.find("'a' appears twice"), std::string::npos) << report;
}

TEST(ParseKeys, TakesAnIdentityInsteadOfASecret) {
  auto doc = config::Document::parse(
      "- { name: press, identity: 'spiffe://plant/press' }\n- { name: app, secret: short }\n", "k.yaml");
  auto keys = parse_keys(doc->root());
  EXPECT_EQ(doc->report(), "");
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0].identity, "spiffe://plant/press");
  EXPECT_FALSE(keys[0].weak());
  EXPECT_TRUE(keys[1].weak());
  KeyTable table(std::move(keys), {}, base::Secret("installation"));
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.list().size(), 2U);
  ASSERT_TRUE(table.find_identity("spiffe://plant/press"));
  EXPECT_EQ(table.find_identity("spiffe://plant/press")->name.view(), "press");
  for (const char* other : {"", "short", "spiffe://plant/pres", "SPIFFE://plant/press"})
    EXPECT_FALSE(table.find_identity(other)) << other;
  EXPECT_FALSE(table.find("")) << "a key without a secret is nobody's secret";
}

TEST(ParseKeys, ReportsMistakesWithIdentities) {
  auto doc = config::Document::parse(
      "- { name: a, identity: x, secret: 0123456789abcdef0 }\n- { name: b, identity: x }\n- { name: c, identity: '' "
      "}\n",
      "k.yaml");
  parse_keys(doc->root());
  std::string report = doc->report();
  EXPECT_NE(report.find("known either by its `secret` or by the `identity`"), std::string::npos) << report;
  EXPECT_NE(report.find("'a' and 'b' have the same identity"), std::string::npos) << report;
  EXPECT_NE(report.find("the identity is empty"), std::string::npos) << report;
}

TEST(ErrorMapping, IsTotalAndGivesErrorStatuses) {
  for (int i = 0; i <= static_cast<int>(Errc::protocol_error); ++i) {
    auto code = static_cast<Errc>(i);
    EXPECT_GE(http_status(code), 400) << to_string(code);
    EXPECT_NE(error_type_of(code), obs::ErrorType::other) << to_string(code);
  }
}

}  // namespace
}  // namespace penstock::flow
