#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/secret.h"
#include "store/state.h"

namespace penstock::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class StateKeys : public testing::Test {
 protected:
  StateKeys() : state(open()) {}
  ~StateKeys() override { std::filesystem::remove_all(path); }
  State open() const {
    auto opened = State::open(path);
    EXPECT_TRUE(opened.has_value()) << opened.error().detail;
    return std::move(*opened);
  }
  StoredKey add(const std::string& name, const std::string& team = {}) {
    StoredKey key;
    key.id = "id-" + name;
    key.name = name;
    key.team = team;
    key.scopes = R"({"models":["chat"]})";
    key.created = 5;
    EXPECT_TRUE(state.add_key(key, {"hash-" + name, 5, 0}, by(5)).has_value());
    return key;
  }
  static Actor by(base::WallMicros at) { return {"cli:test", at}; }
  std::vector<std::string> changed_since(std::int64_t revision) {
    std::vector<std::string> seen;
    EXPECT_TRUE(state
                    .read_keys(revision,
                               [&](const StoredKey& key, const std::vector<StoredSecret>& secrets) {
                                 std::string line = key.name;
                                 for (const StoredSecret& one : secrets) line += " " + one.hash;
                                 seen.push_back(line);
                               })
                    .has_value());
    return seen;
  }
  std::vector<std::string> actions() {
    std::vector<std::string> all;
    for (const AuditEntry& entry : state.audit(0, 1000).value()) all.push_back(entry.action);
    return all;
  }

  std::string path = std::filesystem::temp_directory_path() / ("penstock-keys-" + base::random_token(9));
  State state;
};

TEST_F(StateKeys, OnlyWhatChangedIsRead) {
  add("a");
  add("b");
  EXPECT_THAT(changed_since(0), ElementsAre("a hash-a", "b hash-b"));
  std::int64_t before = state.revision().value();
  EXPECT_THAT(changed_since(before), ElementsAre());
  StoredKey changed = state.key("a").value().value();
  changed.scopes.clear();
  changed.name = "another name is not taken";
  ASSERT_TRUE(state.update_key(changed, by(6)).has_value());
  EXPECT_EQ(state.key("a").value()->scopes, "");
  EXPECT_GT(state.revision().value(), before);
  EXPECT_THAT(changed_since(before), ElementsAre("a hash-a"));
  before = state.revision().value();
  EXPECT_EQ(state.revoke_key("b", by(7)).value(), 1);
  EXPECT_THAT(changed_since(before), ElementsAre("b (revoked id-b)")) << "no secret of it is left";
  EXPECT_THAT(changed_since(0), ElementsAre("a hash-a"));
  EXPECT_EQ(state.update_key(*state.key("id-b").value(), by(8)).error().code, Errc::not_found);
}

TEST_F(StateKeys, RotationLetsTheOldSecretGoOnForAWhile) {
  add("a");
  ASSERT_TRUE(state.rotate_key("a", {"second", 10, 0}, 100, by(10)).has_value());
  EXPECT_THAT(changed_since(0), ElementsAre("a hash-a second"));
  EXPECT_EQ(state.secrets("id-a").value()[0].expires, 100);
  EXPECT_EQ(state.secrets("id-a").value()[1].expires, 0);
  ASSERT_TRUE(state.rotate_key("id-a", {"third", 20, 0}, 500, by(20)).has_value());
  EXPECT_EQ(state.secrets("id-a").value()[0].expires, 100) << "nobody gets more time than was said";
  ASSERT_TRUE(state.rotate_key("a", {"fourth", 30, 0}, 30, by(30)).has_value());
  EXPECT_THAT(changed_since(0), ElementsAre("a fourth")) << "at once";
  EXPECT_EQ(state.rotate_key("nobody", {"x", 1, 0}, 0, by(1)).error().code, Errc::not_found);
}

TEST_F(StateKeys, RotationSaysWhenTooManySecretsStillWork) {
  add("a");
  for (int i = 1; i < 64; ++i)
    ASSERT_TRUE(state.rotate_key("a", {fmt::format("h{}", i), i, 0}, 1000, by(i)).has_value()) << i;
  auto refused = state.rotate_key("a", {"h64", 64, 0}, 1000, by(64));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::failed_precondition);
  EXPECT_EQ(state.secrets("id-a").value().size(), 64U) << "nothing has changed";
  ASSERT_TRUE(state.rotate_key("a", {"h64", 64, 0}, 64, by(64)).has_value());
  EXPECT_THAT(changed_since(0), ElementsAre("a h64"));
}

TEST_F(StateKeys, OneKeyIsRevokedAtATime) {
  add("a");
  StoredKey twin;
  twin.id = "other";
  twin.name = "id-a";
  EXPECT_EQ(state.add_key(twin, {"x", 1, 0}, by(1)).error().code, Errc::already_exists);
  // As another gateway may have made it.
  ASSERT_TRUE(state.put_key(twin, {{"x", 1, 0}}, by(1)).has_value());
  EXPECT_EQ(state.revoke_key("id-a", by(2)).value(), 1);
  EXPECT_THAT(changed_since(0), ElementsAre("id-a x"));
  EXPECT_EQ(state.revoke_key("id-a", by(2)).value(), 1) << "no key in force has this id any more";
}

TEST_F(StateKeys, ListsByPrefixTeamAndPage) {
  for (const char* name : {"app-1", "app-2", "apq", "b"}) add(name, std::string_view(name) == "apq" ? "lab" : "");
  auto names = [&](const KeyQuery& query) {
    std::vector<std::string> all;
    for (const StoredKey& key : state.keys(query).value()) all.push_back(key.name);
    return all;
  };
  KeyQuery query;
  query.prefix = "app-";
  EXPECT_THAT(names(query), ElementsAre("app-1", "app-2"));
  EXPECT_EQ(state.count_keys(query).value(), 2);
  query.limit = 1;
  query.offset = 1;
  EXPECT_THAT(names(query), ElementsAre("app-2"));
  query.offset = 0;
  query.after = "app-1";
  EXPECT_THAT(names(query), ElementsAre("app-2"));
  query.after = "a";
  EXPECT_THAT(names(query), ElementsAre("app-1")) << "the prefix begins later";
  KeyQuery rest;
  rest.after = "app-2";
  EXPECT_THAT(names(rest), ElementsAre("apq", "b"));
  KeyQuery team;
  team.team = "lab";
  EXPECT_THAT(names(team), ElementsAre("apq"));
  EXPECT_TRUE(state.had_keys().value());
  EXPECT_EQ(state.keys_in_force().value(), 4);
}

TEST_F(StateKeys, LastUseIsNoChange) {
  add("a");
  std::int64_t before = state.revision().value();
  ASSERT_TRUE(state.note_used({{"id-a", 77}, {"nobody", 5}}).has_value());
  ASSERT_TRUE(state.note_used({{"id-a", 70}}).has_value());
  EXPECT_EQ(state.key("a").value()->last_used, 77);
  EXPECT_EQ(state.revision().value(), before);
  EXPECT_EQ(actions().size(), 1U);
}

TEST_F(StateKeys, TeamsLeaveWhenNobodyIsInThem) {
  ASSERT_TRUE(state.add_team({.name = "acme", .parent = "", .scopes = "", .rules = ""}, by(1)).has_value());
  StoredTeam lab{.name = "lab", .parent = "acme", .scopes = "", .rules = R"({"limits":{"rpm":5}})"};
  ASSERT_TRUE(state.add_team(lab, by(2)).has_value());
  EXPECT_EQ(state.add_team(lab, by(2)).error().code, Errc::already_exists);
  add("a", "lab");
  EXPECT_EQ(state.remove_team("acme", by(3)).error().code, Errc::failed_precondition);
  EXPECT_EQ(state.remove_team("lab", by(3)).error().code, Errc::failed_precondition);
  ASSERT_EQ(state.revoke_key("a", by(4)).value(), 1);
  lab.rules.clear();
  ASSERT_TRUE(state.update_team(lab, by(5)).has_value());
  EXPECT_EQ(state.teams().value()[1].rules, "");
  ASSERT_TRUE(state.remove_team("lab", by(6)).has_value());
  EXPECT_EQ(state.remove_team("lab", by(6)).error().code, Errc::not_found);
  EXPECT_EQ(state.teams().value().size(), 1U);
  ASSERT_TRUE(state.add_team(lab, by(7)).has_value()) << "the name is free again";
}

TEST_F(StateKeys, TheAuditLogTellsWhoDidWhat) {
  add("a");
  ASSERT_TRUE(state.rotate_key("a", {"second", 10, 0}, 100, by(10)).has_value());
  ASSERT_TRUE(state.add_audit({"admin:127.0.0.1", 11}, "budget.adjust", "team:lab", "", R"({"more":5})").has_value());
  ASSERT_EQ(state.revoke_key("a", by(12)).value(), 1);
  EXPECT_THAT(actions(), ElementsAre("key.create", "key.rotate", "budget.adjust", "key.revoke"));
  AuditEntry first = state.audit(0, 1).value().front();
  EXPECT_EQ(first.actor, "cli:test");
  EXPECT_EQ(first.object, "key:id-a");
  EXPECT_THAT(first.after, HasSubstr(R"("scopes":{"models":["chat"]})"));
  for (const AuditEntry& entry : state.audit(0, 100).value())
    EXPECT_THAT(entry.before + entry.after, testing::Not(HasSubstr("hash"))) << entry.action;
  EXPECT_EQ(state.audit(3, 100).value().size(), 1U);
  EXPECT_EQ(state.audit_newest(1).value().front().action, "key.revoke");
  EXPECT_EQ(state.verify_audit().value(), 4);
}

TEST_F(StateKeys, ARefusedChangeLeavesNoLine) {
  add("a");
  StoredKey again;
  again.id = "other";
  again.name = "a";
  EXPECT_EQ(state.add_key(again, {"x", 1, 0}, by(1)).error().code, Errc::already_exists);
  EXPECT_EQ(actions().size(), 1U);
}

TEST_F(StateKeys, TamperingShows) {
  for (const char* name : {"a", "b", "c"}) add(name);
  for (const char* damage :
       {"UPDATE audit SET actor='cli:other' WHERE sequence=2", "DELETE FROM audit WHERE sequence=2",
        "UPDATE audit SET after=before, before=after WHERE sequence=1", "DELETE FROM audit WHERE sequence=3",
        "DELETE FROM audit"}) {
    auto database = Database::open(path + "/penstock.db", {"", "", "", "", ""});
    ASSERT_TRUE(database && database->execute("CREATE TABLE kept AS SELECT * FROM audit"));
    EXPECT_EQ(state.verify_audit().value(), 3);
    ASSERT_TRUE(database->execute(damage));
    auto verified = state.verify_audit();
    ASSERT_FALSE(verified.has_value()) << damage;
    EXPECT_EQ(verified.error().code, Errc::data_loss);
    ASSERT_TRUE(database->execute("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept; DROP TABLE kept"));
  }
}

TEST_F(StateKeys, AKeyFromAnotherGatewayIsTakenAsItIs) {
  StoredKey key = add("a");
  key.priority = "high";
  ASSERT_TRUE(state.put_key(key, {{"h1", 1, 0}, {"h2", 2, 9}}, by(3)).has_value());
  EXPECT_THAT(changed_since(0), ElementsAre("a h1 h2"));
  EXPECT_EQ(state.key("a").value()->priority, "high");
}

// A file as the program before keys had scopes wrote it.
TEST(StateFiles, SchemaTwoIsTakenOver) {
  std::string path = std::filesystem::temp_directory_path() / ("penstock-two-" + base::random_token(9));
  std::filesystem::create_directories(path);
  {
    auto old = Database::open(
        path + "/penstock.db",
        {"CREATE TABLE keys (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, models TEXT NOT NULL, "
         "rpm INTEGER NOT NULL, tpm INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked "
         "INTEGER NOT NULL) STRICT; CREATE TABLE usage (at INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, "
         "target TEXT NOT NULL, api TEXT NOT NULL, requests INTEGER NOT NULL, errors INTEGER NOT NULL, input_tokens "
         "INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, PRIMARY KEY (at, key, "
         "model, target, api)) STRICT, WITHOUT ROWID;",
         "CREATE TABLE responses (id TEXT PRIMARY KEY, key TEXT NOT NULL, provider TEXT NOT NULL, previous TEXT NOT "
         "NULL, used INTEGER NOT NULL, bytes INTEGER NOT NULL, input TEXT NOT NULL, body TEXT NOT NULL) STRICT; CREATE "
         "INDEX responses_used ON responses (used, bytes);"});
    ASSERT_TRUE(old && old->execute(R"(
      INSERT INTO keys VALUES ('i1', 'plain', 'h1', '', 0, 0, 5, 0, 0), ('i2', 'bound', 'h2', 'chat,"lab"/*', 60, 0, 6, 99, 0),
        ('i3', 'gone (revoked i3)', 'h3', ',', 1, 2, 7, 0, 8),
        ('i4', 'strange', 'h4', ' chat,, embed,', -5, 9000000000000000000, 5, 0, 0);
      INSERT INTO responses VALUES ('r', 'k', '', '', 1, 2, '[]', '{}'))"));
  }
  auto state = State::open(path);
  ASSERT_TRUE(state.has_value()) << state.error().detail;
  KeyQuery all;
  all.revoked = true;
  auto keys = state->keys(all).value();
  ASSERT_EQ(keys.size(), 4U);
  EXPECT_EQ(keys[3].scopes, R"({"models":["chat","embed"]})");
  EXPECT_EQ(keys[3].rules, R"({"limits":{"tpm":1000000000000}})");
  EXPECT_EQ(keys[0].name, "bound");
  EXPECT_EQ(keys[0].scopes, R"({"models":["chat","\"lab\"/*"]})");
  EXPECT_EQ(keys[0].rules, R"({"limits":{"rpm":60}})");
  EXPECT_EQ(keys[0].expires, 99);
  EXPECT_EQ(keys[0].priority, "normal");
  EXPECT_EQ(keys[1].scopes, "") << "no globs are all models";
  EXPECT_EQ(keys[1].rules, R"({"limits":{"rpm":1,"tpm":2}})");
  EXPECT_EQ(keys[1].revoked, 8);
  EXPECT_EQ(keys[2].rules, "");
  EXPECT_EQ(state->secrets("i2").value().front().hash, "h2");
  EXPECT_TRUE(state->secrets("i3").value().empty());
  EXPECT_TRUE(state->response("r", "k", 0).value().has_value());
  EXPECT_EQ(state->revoke_key("plain", {"cli:test", 9}).value(), 1);
  EXPECT_EQ(state->verify_audit().value(), 1);
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace penstock::store
