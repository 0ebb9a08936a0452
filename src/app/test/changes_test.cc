#include "app/changes.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <filesystem>
#include <fstream>

namespace penstock::app {
namespace {

using namespace std::chrono_literals;

struct ChangesTest : testing::Test {
  std::string dir = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-changes-XXXXXX").string();
    return std::string(::mkdtemp(pattern.data()));
  }();
  ~ChangesTest() override { std::filesystem::remove_all(dir); }

  static void write(const std::string& path) { std::ofstream(path) << "x"; }
};

TEST_F(ChangesTest, EndsWhenAFileIsWrittenOrReplaced) {
  Changes changes({SIGUSR1}, {dir});
  EXPECT_TRUE(changes.complete());
  EXPECT_EQ(changes.wait(1ms, true), 0);
  EXPECT_FALSE(changes.changed());
  write(dir + "/a");
  EXPECT_EQ(changes.wait(20s, true), 0);
  EXPECT_TRUE(changes.changed());
  write(dir + "/b");
  EXPECT_EQ(changes.wait(1ms, false), 0);
  EXPECT_FALSE(changes.changed()) << "not asked for";
  EXPECT_EQ(changes.wait(20s, true), 0);
  EXPECT_TRUE(changes.changed()) << "and not forgotten";
  std::filesystem::rename(dir + "/b", dir + "/a");
  changes.wait(20s, true);
  EXPECT_TRUE(changes.changed());
  EXPECT_EQ(changes.wait(1ms, true), 0);
  EXPECT_FALSE(changes.changed());
}

TEST_F(ChangesTest, SaysWhichSignalCame) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &signals, nullptr), 0);
  Changes changes({SIGUSR1}, {dir});
  ASSERT_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
  EXPECT_EQ(changes.wait(20s, true), SIGUSR1);
  EXPECT_EQ(changes.wait(1ms, true), 0);
}

TEST_F(ChangesTest, AFolderThatIsNotThereLeavesTheClock) {
  Changes changes({SIGUSR1}, {dir, dir + "/missing"});
  EXPECT_FALSE(changes.complete());
  EXPECT_EQ(changes.wait(1ms, true), 0);
}

}  // namespace
}  // namespace penstock::app
