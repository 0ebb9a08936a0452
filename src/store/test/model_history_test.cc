#include "store/model_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/secret.h"

namespace penstock::store {
namespace {

using testing::HasSubstr;

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / ("penstock-models-" + base::random_token(9));
  ~Folder() { std::filesystem::remove_all(path); }
};

ModelHistory open(const Folder& folder) {
  auto history = ModelHistory::open(folder.path);
  EXPECT_TRUE(history) << history.error().detail;
  return std::move(*history);
}

ModelEventRow event(std::string model, std::int64_t at, std::string why = "") {
  return {at, std::move(model), "promote", 3, 4, "operator ada", std::move(why)};
}

TEST(ModelHistory, KeepsEventsAndStatesOverOpenings) {
  Folder folder;
  {
    ModelHistory history = open(folder);
    ASSERT_TRUE(history.append(event("a", 1)));
    ASSERT_TRUE(history.append(event("b", 2, "it's better")));
    ASSERT_TRUE(history.keep("a", {"{}", 3}, 7));
  }
  ModelHistory history = open(folder);
  auto all = history.last("", 10).value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].model, "b");
  EXPECT_EQ(all[0].why, "it's better");
  EXPECT_EQ(all[0].from, 3);
  EXPECT_EQ(all[0].to, 4);
  EXPECT_EQ(all[0].actor, "operator ada");
  EXPECT_EQ(history.last("a", 10)->size(), 1U);
  EXPECT_EQ(history.last("", 1)->size(), 1U);
  EXPECT_EQ(history.kept("a")->text, "{}");
  EXPECT_EQ(history.kept("a")->serial, 3);
  EXPECT_EQ(history.kept("b")->text, "");
}

TEST(ModelHistory, ALaterDecisionOfAnotherProcessStays) {
  Folder folder;
  ModelHistory one = open(folder);
  ModelHistory other = open(folder);
  EXPECT_TRUE(one.keep("a", {"watching", 1}, 1).value());
  EXPECT_TRUE(other.keep("a", {"rolled back", 2}, 2).value());
  EXPECT_FALSE(one.keep("a", {"watching still", 1}, 3).value()) << "and says so";
  EXPECT_EQ(one.kept("a")->text, "rolled back");
  EXPECT_TRUE(one.keep("a", {"the same again", 2}, 4).value());
  EXPECT_EQ(other.kept("a")->text, "the same again");
}

TEST(ModelHistory, OneBusyModelPushesNobodyOut) {
  Folder folder;
  ModelHistory history = open(folder);
  ASSERT_TRUE(history.append(event("quiet", 1)));
  for (int i = 0; i < ModelHistory::kEventsOfModelMax + 20; ++i) ASSERT_TRUE(history.append(event("busy", i)));
  EXPECT_EQ(history.last("", 10'000)->size(), static_cast<std::size_t>(ModelHistory::kEventsOfModelMax) + 1);
  EXPECT_EQ(history.last("busy", 1)->front().at, ModelHistory::kEventsOfModelMax + 19);
}

TEST(ModelHistory, LongReasonsAreCutBetweenCharacters) {
  Folder folder;
  ModelHistory history = open(folder);
  std::string why = "a";
  for (int i = 0; i < 2000; ++i) why += "\xC3\xA9";
  ASSERT_TRUE(history.append(event("a", 1, why)));
  EXPECT_EQ(history.last("a", 1)->front().why, why.substr(0, 1999));
}

TEST(ModelHistory, DamageIsSaidWithWhatToDo) {
  Folder folder;
  std::filesystem::create_directories(folder.path);
  std::ofstream(ModelHistory::file_in(folder.path)) << std::string(4096, 'x');
  auto history = ModelHistory::open(folder.path);
  ASSERT_FALSE(history);
  EXPECT_EQ(history.error().code, Errc::data_loss);
  EXPECT_THAT(history.error().detail, HasSubstr("move it away"));
}

}  // namespace
}  // namespace penstock::store
