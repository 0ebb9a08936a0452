#include "app/key_settings.h"

#include <gmock/gmock.h>

#include "app/key_view.h"

namespace penstock::app {
namespace {

using json::Object;
using testing::HasSubstr;

constexpr base::WallMicros kNow = 1'800'000'000'000'000;

Object body(std::string_view text) {
  auto value = json::parse(text);
  return value->get_object();
}

store::StoredKey made(std::string_view settings) {
  auto fresh = make_key(body(settings), base::Secret("installation"), kNow);
  EXPECT_TRUE(fresh) << fresh.error().detail;
  return fresh ? fresh->key : store::StoredKey();
}

std::string refused(store::StoredKey key, std::string_view changes) {
  auto done = change(key, body(changes), kNow);
  return done ? "" : done.error().detail;
}

TEST(KeySettings, MakesAKeyWhoseSecretIsKnownByItsHashAlone) {
  auto fresh = make_key(body(R"({"name":"app"})"), base::Secret("installation"), kNow);
  ASSERT_TRUE(fresh);
  EXPECT_TRUE(fresh->secret.reveal().starts_with("pk-" + fresh->key.id + "-"));
  EXPECT_GE(fresh->secret.reveal().size(), 40U);
  EXPECT_EQ(fresh->stored.hash, base::hmac_sha256_hex("installation", fresh->secret.reveal()));
  EXPECT_EQ(fresh->key.priority, "normal");
  EXPECT_TRUE(fresh->key.scopes.empty());
  EXPECT_TRUE(fresh->key.rules.empty());
  std::string shown = json::dump(describe(fresh->key, kNow));
  EXPECT_THAT(shown, testing::Not(HasSubstr(fresh->stored.hash)));
  EXPECT_THAT(shown, testing::Not(HasSubstr(std::string(fresh->secret.reveal()))));
}

TEST(KeySettings, ChangesOnlyWhatIsSaidAndNullTakesAway) {
  store::StoredKey key = made(R"({"name":"app","team":"lab","models":["chat"],"labels":{"a":"1","b":"2"},
                                  "limits":{"rpm":60,"concurrent":5},"budget":"5USD/day","expires":"1h"})");
  EXPECT_EQ(key.expires, kNow + 3'600'000'000);
  ASSERT_TRUE(change(key, body(R"({"limits":{"rpm":30},"labels":{"b":null,"c":"3"}})"), kNow + 1));
  Object settings = settings_of(key);
  EXPECT_EQ(key.expires, kNow + 3'600'000'000);
  EXPECT_EQ(settings.at("team").as_string(), "lab");
  EXPECT_EQ(json::dump(settings.at("labels")), R"({"a":"1","c":"3"})");
  const Object& limits = settings.at("limits").as_object();
  EXPECT_EQ(limits.at("concurrent").as_int64(), 5);
  EXPECT_THAT(key.rules, HasSubstr("30"));
  EXPECT_THAT(key.rules, testing::Not(HasSubstr("60")));
  ASSERT_TRUE(change(
      key, body(R"({"limits":null,"budget":null,"models":null,"labels":null,"team":null,"expires":null})"), kNow + 2));
  EXPECT_TRUE(key.rules.empty());
  EXPECT_TRUE(key.scopes.empty());
  EXPECT_TRUE(key.labels.empty());
  EXPECT_TRUE(key.team.empty());
  EXPECT_EQ(key.expires, 0);
}

TEST(KeySettings, RefusesWhatCannotBeAndLeavesTheKeyAsItWas) {
  store::StoredKey key = made(R"({"name":"app","limits":{"rpm":60}})");
  std::string rules = key.rules;
  EXPECT_THAT(refused(key, R"({"limits":{"requests":"10/fortnight"}})"), HasSubstr("fortnight"));
  EXPECT_THAT(refused(key, R"({"budget":"5EUR/day"})"), HasSubstr("5EUR"));
  EXPECT_THAT(refused(key, R"({"budget":"-5USD/day"})"), HasSubstr("-5USD"));
  EXPECT_THAT(refused(key, R"({"budget":{"amount":"5USD","per":"day","zone":"Mars/Olympus"}})"),
              HasSubstr("Mars/Olympus"));
  EXPECT_THAT(refused(key, R"({"expires":"soon"})"), HasSubstr("expires"));
  EXPECT_FALSE(change(key, body(R"({"budget":"x"})"), kNow));
  EXPECT_EQ(key.rules, rules);
}

TEST(KeySettings, NamesAreTextThatMayBeShown) {
  for (const char* good : {"app", "a b", "team/app", "gr\xc3\xbc\xc3\x9f", "<b>"})
    EXPECT_TRUE(check_name(good)) << good;
  EXPECT_FALSE(check_name(""));
  EXPECT_FALSE(check_name("a\nb"));
  EXPECT_FALSE(check_name("\x1b[2J"));
  EXPECT_FALSE(check_name("\xff"));
  EXPECT_FALSE(check_name(std::string(201, 'a')));
}

TEST(KeySettings, TellsTheStateOfAKey) {
  store::StoredKey key;
  EXPECT_EQ(state_of(key, kNow), "active");
  key.expires = kNow;
  EXPECT_EQ(state_of(key, kNow - 1), "active");
  EXPECT_EQ(state_of(key, kNow), "expired");
  key.revoked = kNow;
  EXPECT_EQ(state_of(key, kNow - 1), "revoked");
}

}  // namespace
}  // namespace penstock::app
