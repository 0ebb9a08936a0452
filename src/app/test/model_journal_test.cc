#include "app/model_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/secret.h"

namespace penstock::app {
namespace {

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / ("penstock-journal-" + base::random_token(9));
  ~Folder() {
    std::error_code ignored;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path);
  }
};

infer::ModelEvent event(std::string model, std::string action) {
  return {5, std::move(model), std::move(action), 1, 2, {.actor = "operator ada", .why = "because"}};
}

TEST(ModelJournal, WhatWasAppendedIsThereAtOnceAndAfterARestart) {
  Folder folder;
  {
    ModelJournal journal(folder.path);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(journal.append(event("a", "load")));
    ASSERT_TRUE(journal.append(event("b", "promote")));
    EXPECT_EQ(journal.last("", 100)->size(), 21U);
    ASSERT_TRUE(journal.keep("a", {.text = "{}", .serial = 4}));
    EXPECT_EQ(journal.kept("a")->text, "{}");
    ASSERT_TRUE(journal.flush());
    ASSERT_TRUE(journal.append(event("b", "rollback")));  // written at the end
  }
  ModelJournal journal(folder.path);
  EXPECT_EQ(journal.kept("a")->serial, 4);
  auto events = journal.last("b", 100).value();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].action, "rollback");
  EXPECT_EQ(events[0].by.why, "because");
}

TEST(ModelJournal, ReadingMakesNoFile) {
  Folder folder;
  ModelJournal journal(folder.path);
  EXPECT_TRUE(journal.last("", 1)->empty());
  EXPECT_TRUE(journal.kept("a")->text.empty());
  EXPECT_TRUE(journal.flush());
  EXPECT_FALSE(std::filesystem::exists(folder.path));
}

TEST(ModelJournal, WhatCouldNotBeWrittenIsSaidAndWrittenLater) {
  Folder folder;
  // A folder where the file should be.
  std::filesystem::create_directories(store::ModelHistory::file_in(folder.path));
  ModelJournal journal(folder.path);
  ASSERT_TRUE(journal.keep("a", {.text = "{}", .serial = 1}));
  EXPECT_FALSE(journal.flush());
  EXPECT_EQ(journal.kept("a")->text, "{}") << "known while it waits";
  std::filesystem::remove(store::ModelHistory::file_in(folder.path));
  ASSERT_TRUE(journal.append(event("b", "load")));
  EXPECT_TRUE(journal.flush());
  EXPECT_EQ(ModelJournal(folder.path).kept("a")->text, "{}");
}

TEST(ModelJournal, ADecisionThatALaterOneKeepsOutIsSaid) {
  Folder folder;
  ModelJournal journal(folder.path);
  ASSERT_TRUE(journal.keep("a", {.text = "later", .serial = 5, .decision = true}));
  ASSERT_TRUE(journal.flush());
  // Figures that a predecessor still writes are no news.
  ASSERT_TRUE(journal.keep("a", {.text = "figures", .serial = 4}));
  EXPECT_TRUE(journal.flush());
  ASSERT_TRUE(journal.keep("a", {.text = "earlier", .serial = 4, .decision = true}));
  auto flushed = journal.flush();
  ASSERT_FALSE(flushed);
  EXPECT_THAT(flushed.error().detail, testing::HasSubstr("model 'a'"));
  EXPECT_EQ(journal.kept("a")->text, "later");
}

}  // namespace
}  // namespace penstock::app
