#include "store/lane_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "base/secret.h"

namespace penstock::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / ("penstock-lane-" + base::random_token(9));
  ~Folder() {
    ::chmod(path.c_str(), 0700);
    std::filesystem::remove_all(path);
  }
};

Result<void> put_and_wait(LaneState& state, std::string key, std::string value) {
  std::promise<Result<void>> done;
  state.put(std::move(key), std::move(value), [&](Result<void> result) { done.set_value(std::move(result)); });
  return done.get_future().get();
}

LaneEvent event(std::string name, std::int64_t at, std::string what = "raised") {
  return {.at = at,
          .kind = "alarm",
          .pipeline = "line",
          .name = std::move(name),
          .device = "press-1",
          .what = std::move(what),
          .severity = "warning",
          .actor = "",
          .why = "temp > 80"};
}

TEST(LaneState, ComesBackAsItWas) {
  Folder folder;
  {
    LaneState state(folder.path);
    ASSERT_TRUE(state.load());
    state.put("line/a", "1");
    state.put("line/b", "2");
    state.put("line/a", "3");
    state.put("other/c", "4");
    state.erase("line/b");
    EXPECT_EQ(state.get("line/a"), "3");
    EXPECT_EQ(state.get("line/b"), std::nullopt);
  }
  LaneState state(folder.path);
  ASSERT_TRUE(state.load());
  EXPECT_THAT(state.entries("line/"), ElementsAre(Pair("line/a", "3")));
  EXPECT_EQ(state.get("other/c"), "4");
}

TEST(LaneState, MakesNothingWhereNothingIsKept) {
  Folder folder;
  {
    LaneState state(folder.path);
    ASSERT_TRUE(state.load());
    state.erase("line/a");
    EXPECT_TRUE(state.flush());
    EXPECT_TRUE(state.events({}).value().empty());
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path));
}

// A process that is killed right after it was told "kept".
TEST(LaneState, WhatWasKeptOutlastsTheProcess) {
  Folder folder;
  pid_t child = ::fork();
  if (child == 0) {
    LaneState state(folder.path);
    bool kept = put_and_wait(state, "line/intent", "stop").has_value();
    if (kept) ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  LaneState state(folder.path);
  ASSERT_TRUE(state.load());
  EXPECT_EQ(state.get("line/intent"), "stop");
}

TEST(LaneState, SaysWhatCouldNotBeKeptAndTriesAgain) {
  Folder folder;
  std::filesystem::create_directories(folder.path);
  std::filesystem::create_directories(LaneDatabase::file_in(folder.path));  // in the way
  std::vector<std::string> troubles;
  LaneState state(folder.path,
                  [&](const Error* error) { troubles.push_back(error != nullptr ? error->detail : std::string()); });
  Result<void> kept = put_and_wait(state, "line/a", "1");
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().detail, HasSubstr("lane.db"));
  EXPECT_EQ(state.get("line/a"), "1");
  std::filesystem::remove(LaneDatabase::file_in(folder.path));
  EXPECT_TRUE(put_and_wait(state, "line/b", "2"));
  state.close();
  ASSERT_EQ(troubles.size(), 2U);
  EXPECT_FALSE(troubles[0].empty());
  EXPECT_TRUE(troubles[1].empty());
  LaneState again(folder.path);
  ASSERT_TRUE(again.load());
  EXPECT_EQ(again.get("line/a"), "1");
  EXPECT_EQ(again.get("line/b"), "2");
}

TEST(LaneState, WhoWaitsIsToldWhenTheDiskFailsWhileItCloses) {
  Folder folder;
  std::filesystem::create_directories(folder.path);
  std::filesystem::create_directories(LaneDatabase::file_in(folder.path));  // in the way
  std::promise<void> failing;
  std::vector<bool> told;
  LaneState* lane = nullptr;
  LaneState state(folder.path, [&](const Error*) {
    // The writer's thread, after a writing that failed: somebody waits, and then the gateway stops.
    lane->put("line/b", "2", [&](const Result<void>& kept) { told.push_back(kept.has_value()); });
    failing.set_value();
    auto closing = std::make_shared<bool>(false);  // those that were put before are answered later
    while (!*closing) {
      lane->put("line/c", "3", [closing](const Result<void>& kept) {
        if (!kept && kept.error().code == Errc::unavailable) *closing = true;
      });
      std::this_thread::yield();
    }
  });
  lane = &state;
  state.put("line/a", "1");
  failing.get_future().wait();
  state.close();
  EXPECT_THAT(told, ElementsAre(false));
  ASSERT_FALSE(state.flush());
  EXPECT_EQ(state.flush().error().code, Errc::unavailable);
}

TEST(LaneState, RefusesWhatIsTooLargeAndWhatComesTooLate) {
  Folder folder;
  LaneState state(folder.path);
  EXPECT_EQ(put_and_wait(state, "a", std::string(LaneState::kValueBytesMax + 1, 'x')).error().code,
            Errc::resource_exhausted);
  EXPECT_EQ(state.get("a"), std::nullopt);
  state.close();
  EXPECT_EQ(put_and_wait(state, "a", "1").error().code, Errc::unavailable);
}

TEST(LaneState, EventsAreFiltered) {
  Folder folder;
  LaneState state(folder.path);
  state.append(event("hot", 1));
  state.append(event("wear", 2));
  state.append(event("hot", 3, "acknowledged"));
  LaneEventFilter hot{.kind = "alarm", .name = "hot"};
  std::vector<LaneEvent> found = state.events(hot).value();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].what, "acknowledged");
  EXPECT_EQ(found[1].why, "temp > 80");
  EXPECT_EQ(state.events({.kind = "action"}).value().size(), 0U);
  EXPECT_EQ(state.events({.since = 2}).value().size(), 2U);
  EXPECT_EQ(state.events({.limit = 1}).value().front().at, 3);
  EXPECT_EQ(state.events({.name = "' OR 1=1 --"}).value().size(), 0U);
}

TEST(LaneDatabase, ForgetsTheOldestEvents) {
  Folder folder;
  auto database = LaneDatabase::open(folder.path);
  ASSERT_TRUE(database);
  std::vector<LaneEvent> many(static_cast<std::size_t>(LaneDatabase::kEventsMax) + 10, event("hot", 1));
  many.back().at = 7;
  ASSERT_TRUE(database->apply({}, many));
  EXPECT_EQ(database->events({.limit = LaneDatabase::kEventsMax * 2}).value().size(),
            static_cast<std::size_t>(LaneDatabase::kEventsMax));
  EXPECT_EQ(database->events({.limit = 1}).value().front().at, 7);
}

TEST(LaneDatabase, ADamagedFileIsSaidSo) {
  Folder folder;
  std::filesystem::create_directories(folder.path);
  std::ofstream(LaneDatabase::file_in(folder.path)) << std::string(5000, 'x');
  auto database = LaneDatabase::open(folder.path);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, Errc::data_loss);
  EXPECT_THAT(database.error().detail, HasSubstr("without standing alarms"));
}

}  // namespace
}  // namespace penstock::store
