#include <gmock/gmock.h>

#include <filesystem>

#include "store/state.h"

namespace penstock::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const Actor kActor{"cli:test", 1'000'000};

struct Gateway {
  explicit Gateway(std::string_view name) {
    std::string pattern = (std::filesystem::temp_directory_path() / fmt::format("penstock-{}-XXXXXX", name)).string();
    folder = ::mkdtemp(pattern.data());
    state.emplace(*State::open(folder));
  }
  ~Gateway() {
    state.reset();
    std::filesystem::remove_all(folder);
  }
  void add(const std::string& id, const std::string& name) {
    StoredKey key;
    key.id = id;
    key.name = name;
    key.rules = R"({"limits":{"rpm":5}})";
    key.created = 1000;
    ASSERT_TRUE(state->add_key(key, {"hash-" + id, 1000, 0}, kActor));
  }
  std::vector<SharedRow> rows(std::int64_t since = 0) { return *state->changed_rows(since, 100); }
  int take(Gateway& from) { return *state->take_rows(from.rows()); }

  std::string folder;
  std::optional<State> state;
};

TEST(StateShared, AKeyOfAnotherGatewayIsTheSameHere) {
  Gateway a("a"), b("b");
  a.add("k1", "app");
  EXPECT_EQ(b.take(a), 1);
  auto key = b.state->key("app");
  ASSERT_TRUE(key && *key);
  EXPECT_EQ((*key)->id, "k1");
  EXPECT_EQ((*key)->rules, R"({"limits":{"rpm":5}})");
  EXPECT_EQ(b.state->secrets("k1")->at(0).hash, "hash-k1");
  EXPECT_EQ(b.rows().at(0).changed, a.rows().at(0).changed);
  EXPECT_EQ(b.take(a), 0);  // nothing newer
  EXPECT_EQ(a.take(b), 0);
}

TEST(StateShared, EveryChangeIsToldInItsOrder) {
  Gateway a("a");
  a.add("k1", "one");
  a.add("k2", "two");
  ASSERT_TRUE(a.state->add_team({"research", "", "", "", 1000, 0, 0}, kActor));
  auto before = a.rows();
  ASSERT_THAT(before, SizeIs(3));
  EXPECT_EQ(before[2].id, "team:research");
  EXPECT_THAT(a.rows(before[2].sequence), IsEmpty());
  ASSERT_TRUE(a.state->rotate_key("one", {"fresh", 2000, 0}, 0, kActor));
  auto after = a.rows(before[2].sequence);
  ASSERT_THAT(after, SizeIs(1));
  EXPECT_EQ(after[0].id, "key:k1");
  EXPECT_GT(after[0].changed, before[0].changed);
  EXPECT_THAT(*a.state->changed_rows(0, 2), SizeIs(2));
}

TEST(StateShared, ARevocationStaysWhateverIsChangedLater) {
  Gateway a("a"), b("b");
  a.add("k1", "app");
  b.take(a);
  ASSERT_EQ(*a.state->revoke_key("app", kActor), 1);
  StoredKey key = **b.state->key("k1");
  key.rules = "";
  ASSERT_TRUE(b.state->update_key(key, kActor));  // later
  EXPECT_EQ(a.take(b), 0);
  EXPECT_EQ(b.take(a), 1);
  EXPECT_NE((*b.state->key("k1"))->revoked, 0);
  EXPECT_THAT(*b.state->secrets("k1"), IsEmpty());
}

TEST(StateShared, TheLaterChangeStays) {
  Gateway a("a"), b("b");
  a.add("k1", "app");
  b.take(a);
  for (Gateway* one : {&a, &b}) {
    StoredKey key = **one->state->key("k1");
    key.team = one == &a ? "earlier" : "later";
    ASSERT_TRUE(one->state->update_key(key, kActor));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the stamps are SQLite's
  }
  EXPECT_EQ(b.take(a), 0);
  EXPECT_EQ(a.take(b), 1);
  EXPECT_EQ((*a.state->key("k1"))->team, "later");
}

TEST(StateShared, AChangeIsLaterThanWhatItChangesWhateverTheClockSays) {
  Gateway a("a"), b("b");
  a.add("k1", "app");
  auto rows = a.rows();
  rows[0].changed += 3'600'000'000;  // of a gateway whose clock is an hour ahead
  ASSERT_EQ(*b.state->take_rows(rows), 1);
  ASSERT_EQ(*b.state->revoke_key("app", kActor), 1);
  EXPECT_GT(b.rows().at(0).changed, rows[0].changed);
}

TEST(StateShared, OfTwoKeysOfOneNameTheSameKeepsItEverywhere) {
  Gateway a("a"), b("b"), c("c");
  a.add("k1", "app");
  b.add("k2", "app");
  const auto of_a = a.rows();
  EXPECT_EQ(*c.state->take_rows(b.rows()), 1);
  EXPECT_EQ(*a.state->take_rows(b.rows()), 1);
  EXPECT_EQ(*b.state->take_rows(of_a), 1);
  EXPECT_EQ(*c.state->take_rows(of_a), 1);
  for (Gateway* one : {&a, &b, &c}) {
    EXPECT_EQ((*one->state->key("app"))->id, "k1");
    EXPECT_EQ((*one->state->key("k2"))->name, "app (k2)");
    EXPECT_TRUE(one->state->verify_audit());
  }
}

TEST(StateShared, ARotationStaysWhateverIsChangedLater) {
  for (bool rotated_told_first : {true, false}) {
    Gateway a("a"), b("b");
    a.add("k1", "app");
    b.take(a);
    ASSERT_TRUE(a.state->rotate_key("app", {"fresh", 500, 0}, 0, kActor));  // by a clock that is behind
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    StoredKey key = **b.state->key("k1");
    key.team = "later";
    ASSERT_TRUE(b.state->update_key(key, kActor));
    for (int round = 0; round < 2; ++round) {
      if (rotated_told_first || round > 0) b.take(a);
      a.take(b);
    }
    for (Gateway* one : {&a, &b}) {
      const auto secrets = *one->state->secrets("k1");
      ASSERT_THAT(secrets, SizeIs(1));
      EXPECT_EQ(secrets[0].hash, "fresh");
      EXPECT_EQ((*one->state->key("k1"))->team, "later");
    }
    EXPECT_EQ(a.rows()[0].text, b.rows()[0].text);
    EXPECT_EQ(a.take(b) + b.take(a), 0);  // it comes to rest
  }
}

// The store keeps the row that was changed last: what is merged has to be later than both.
TEST(StateShared, WhatWasMergedIsLaterThanBoth) {
  Gateway a("a"), b("b");
  a.add("k1", "app");
  b.take(a);
  ASSERT_TRUE(a.state->rotate_key("app", {"fresh", 2000, 0}, 9'000'000, kActor));  // when the old one ends
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  StoredKey key = **b.state->key("k1");
  key.labels = R"({"x":"y"})";
  ASSERT_TRUE(b.state->update_key(key, kActor));
  const SharedRow later = b.rows()[0];
  EXPECT_EQ(a.take(b), 1);
  EXPECT_GT(a.rows()[0].changed, later.changed);
  EXPECT_EQ(b.take(a), 1);
  const auto secrets = *b.state->secrets("k1");
  ASSERT_THAT(secrets, SizeIs(2));
  EXPECT_EQ(secrets[0].expires, 9'000'000);
  EXPECT_EQ(secrets[1].hash, "fresh");
  EXPECT_EQ((*b.state->key("k1"))->labels, R"({"x":"y"})");
}

TEST(StateShared, TeamsComeAndGo) {
  Gateway a("a"), b("b");
  ASSERT_TRUE(a.state->add_team({"research", "acme", "", R"({"budget":"5USD/day"})", 1000, 0, 0}, kActor));
  b.take(a);
  EXPECT_EQ((*b.state->team("research"))->parent, "acme");
  ASSERT_TRUE(a.state->remove_team("research", kActor));
  b.take(a);
  EXPECT_FALSE(*b.state->team("research"));
}

TEST(StateShared, WhatCannotBeReadIsLeftOut) {
  Gateway a("a");
  a.add("k1", "app");
  EXPECT_EQ(
      *a.state->take_rows({{"key:x", 5, false, "{", 0}, {"key:y", 5, false, "[]", 0}, {"model:z", 5, false, "{}", 0}}),
      0);
  EXPECT_TRUE(a.state->verify_audit());
}

}  // namespace
}  // namespace penstock::store
