#include "store/response_store.h"

#include <gmock/gmock.h>

#include <filesystem>

namespace penstock::store {
namespace {

using testing::ElementsAre;

class ResponseStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + fmt::format("penstock_responses_{}", ::getpid());
    std::filesystem::remove_all(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  State open() { return std::move(*State::open(dir_)); }
  static StoredResponse row(const std::string& id, const std::string& previous = "", const std::string& key = "k") {
    return {id, key, "", previous, "[]", R"({"output":[]})"};
  }
  std::vector<std::string> present(State& state, const std::vector<std::string>& ids) {
    std::vector<std::string> found;
    for (const std::string& id : ids) {
      if (auto kept = state.response(id, "k", 0); kept && *kept) found.push_back(id);
    }
    return found;
  }
  std::string dir_;
};

TEST_F(ResponseStoreTest, BelongsToItsKeyAndIsReplacedOnlyByIt) {
  State state = open();
  ASSERT_TRUE(state.add_response(row("a"), 5));
  EXPECT_FALSE(state.response("a", "other", 0)->has_value());
  ASSERT_TRUE(state.add_response({"a", "other", "", "", "[1]", "{}"}, 6));
  EXPECT_EQ((*state.response("a", "k", 0))->input, "[]");
  ASSERT_TRUE(state.add_response({"a", "k", "", "", "[2]", "{}"}, 7));
  EXPECT_EQ((*state.response("a", "k", 0))->input, "[2]");
  EXPECT_FALSE(state.response("a", "k", 8)->has_value());
  EXPECT_FALSE(*state.remove_response("a", "other"));
  EXPECT_TRUE(*state.remove_response("a", "k"));
  EXPECT_FALSE(*state.remove_response("a", "k"));
}

TEST_F(ResponseStoreTest, GoingOnFromAConversationKeepsAllOfIt) {
  State state = open();
  ASSERT_TRUE(state.add_response(row("a"), 1));
  ASSERT_TRUE(state.add_response(row("alone"), 2));
  ASSERT_TRUE(state.add_response(row("b", "a"), 3));
  ASSERT_TRUE(state.add_response(row("c", "b"), 4));
  EXPECT_EQ(*state.trim_responses({.unused_since = 0, .count = 3, .bytes = 1 << 20}), 1);
  EXPECT_THAT(present(state, {"a", "alone", "b", "c"}), ElementsAre("a", "b", "c"));
  // A conversation that leads back to itself has an end, too.
  ASSERT_TRUE(state.add_response(row("a", "c"), 5));
  EXPECT_EQ(*state.trim_responses({.unused_since = 5, .count = 3, .bytes = 1 << 20}), 0);
}

TEST_F(ResponseStoreTest, BytesAreBoundedTheOldestGoFirst) {
  State state = open();
  for (int i = 0; i < 5; ++i) {
    StoredResponse one = row(fmt::format("{}", i));
    one.body = std::string(1000, ' ');
    ASSERT_TRUE(state.add_response(one, i));
  }
  EXPECT_EQ(*state.trim_responses({.unused_since = 0, .count = 100, .bytes = 2500}), 3);
  EXPECT_THAT(present(state, {"0", "1", "2", "3", "4"}), ElementsAre("3", "4"));
}

rt::Task<void> look(ResponseStore& store, rt::Loop& loop, std::optional<StoredResponse>& found) {
  std::function<Result<std::optional<StoredResponse>>(State&)> work = [](State& state) {
    return state.response("a", "k", 0);
  };
  auto answer = co_await store.ask<std::optional<StoredResponse>>(loop, std::move(work));
  if (answer) found = std::move(*answer);
  loop.stop();
}

rt::Task<void> weigh(ResponseStore& store, rt::Loop& loop, std::size_t bytes, std::vector<Errc>& refused) {
  std::function<Result<int>(State&)> work = [](State&) { return 1; };
  auto answer = co_await store.ask<int>(loop, std::move(work), bytes);
  if (answer) {
    loop.stop();
  } else {
    refused.push_back(answer.error().code);
  }
}

TEST_F(ResponseStoreTest, WhatWasHandedOverIsFound) {
  rt::Loop loop;
  std::optional<StoredResponse> found;
  {
    ResponseStore store(open(), {}, {});
    ASSERT_TRUE(store.add(10, [] { return Result<StoredResponse>(row("a")); }));
    rt::TaskScope scope(loop);
    loop.post([&] { scope.spawn(look(store, loop, found)); });
    loop.run();
    EXPECT_EQ(
        store.add(ResponseStore::kResponseBytesMax + 1, [] { return Result<StoredResponse>(row("b")); }).error().code,
        Errc::out_of_range);
  }
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, "a");
  State again = open();
  EXPECT_THAT(present(again, {"a", "b"}), ElementsAre("a"));
}

TEST_F(ResponseStoreTest, WhatWaitsToBeReadIsBounded) {
  rt::Loop loop;
  std::vector<Errc> refused;
  ResponseStore store(open(), {}, {});
  rt::TaskScope scope(loop);
  loop.post([&] {
    scope.spawn(weigh(store, loop, 200U << 20, refused));
    scope.spawn(weigh(store, loop, 100U << 20, refused));
  });
  loop.run();
  EXPECT_THAT(refused, ElementsAre(Errc::backpressure));
  // What was done has made room.
  loop.post([&] { scope.spawn(weigh(store, loop, 100U << 20, refused)); });
  loop.run();
  EXPECT_EQ(refused.size(), 1U);
}

TEST_F(ResponseStoreTest, NoneIsKeptWhenNoneMayBe) {
  ResponseStore store(open(), {.count = 0}, {});
  EXPECT_FALSE(store.enabled());
  store.set_limits({});
  EXPECT_TRUE(store.enabled());
}

}  // namespace
}  // namespace penstock::store
