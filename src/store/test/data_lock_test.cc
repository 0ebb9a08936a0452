#include "store/data_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace penstock::store {
namespace {

// Whether another process gets it.
bool another_gets_it(const std::string& dir) {
  pid_t child = ::fork();
  if (child == 0) {
    auto lock = DataLock::open(dir);
    auto taken = lock ? lock->take() : Result<void>(std::unexpected(lock.error()));
    bool named = taken || taken.error().detail.find(fmt::format("(process {})", ::getppid())) != std::string::npos;
    ::_exit(taken ? 0 : named ? 1 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_NE(WEXITSTATUS(status), 2) << "the error does not name the process";
  return WEXITSTATUS(status) == 0;
}

TEST(DataLock, IsOfOneProcess) {
  std::string pattern = (std::filesystem::temp_directory_path() / "penstock-lock-XXXXXX").string();
  std::string dir = ::mkdtemp(pattern.data());
  {
    auto lock = DataLock::open(dir + "/data");
    ASSERT_TRUE(lock.has_value()) << lock.error().detail;
    EXPECT_TRUE(another_gets_it(dir + "/data"));
    ASSERT_TRUE(lock->take());
    EXPECT_FALSE(another_gets_it(dir + "/data"));
    lock->release();
    EXPECT_TRUE(another_gets_it(dir + "/data"));
    ASSERT_TRUE(lock->take());
  }
  EXPECT_TRUE(another_gets_it(dir + "/data"));
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace penstock::store
