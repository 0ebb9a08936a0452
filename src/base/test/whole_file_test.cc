#include "base/whole_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/secret.h"

namespace penstock::base {
namespace {

class WriteWhole : public testing::Test {
 protected:
  WriteWhole() { std::filesystem::create_directories(folder_); }
  ~WriteWhole() override { std::filesystem::remove_all(folder_); }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  const std::string folder_ = std::filesystem::temp_directory_path() / ("penstock-whole-" + random_token(9));
  const std::string path_ = folder_ + "/file";
};

TEST_F(WriteWhole, ReplacesALinkAndDoesNotFollowIt) {
  std::ofstream(folder_ + "/other") << "mine";
  std::filesystem::create_symlink(folder_ + "/other", path_);
  ASSERT_TRUE(write_whole(path_, "new", 0644, true));
  EXPECT_EQ(read(folder_ + "/other"), "mine");
  EXPECT_EQ(read(path_), "new");
  EXPECT_FALSE(std::filesystem::is_symlink(path_));
}

TEST_F(WriteWhole, KeepsWhatIsThereUnlessItMayReplaceIt) {
  ASSERT_TRUE(write_whole(path_, "first", 0600, false));
  auto again = write_whole(path_, "second", 0600, false);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::already_exists);
  EXPECT_EQ(read(path_), "first");
  ASSERT_TRUE(write_whole(path_, "second", 0600, true));
  EXPECT_EQ(read(path_), "second");
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(files(), 1U) << "nothing else is left";
}

TEST_F(WriteWhole, SeveralAtOnceDisturbNobody) {
  std::atomic<int> failed = 0;
  std::atomic<int> torn = 0;
  const auto write = [&](char filling) {
    for (int i = 0; i < 100; ++i) {
      if (!write_whole(path_, std::string(10'000, filling), 0600, true)) ++failed;
      const std::string got = read(path_);
      if (got.size() != 10'000 || got.find_first_not_of(got.front()) != std::string::npos) ++torn;
    }
  };
  std::thread other(write, 'a');
  write('b');
  other.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(files(), 1U) << "nothing else is left";
}

TEST_F(WriteWhole, SaysWhichFileCannotBeWritten) {
  auto nowhere = write_whole(folder_ + "/none/file", "x", 0600, true);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::permission_denied);
  EXPECT_NE(nowhere.error().detail.find(folder_ + "/none/file"), std::string::npos) << nowhere.error().detail;
}

}  // namespace
}  // namespace penstock::base
