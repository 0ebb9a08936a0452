#include "app/file_fence.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "app/system_calls.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

// What `action` returns in a process that ends afterwards: rules cannot be taken back.
template <class Action>
int in_child(Action action) {
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(action());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

struct Folder {
  fs::path root;
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "penstock-fence-XXXXXX").string();
    root = ::mkdtemp(pattern.data());
    for (const char* name : {"in", "out"}) {
      fs::create_directories(root / name);
      std::ofstream(root / name / "file") << "content";
    }
    fs::create_symlink(root / "out" / "file", root / "in" / "link");
  }
  ~Folder() { fs::remove_all(root); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

bool opens(const fs::path& path, int flags) { return ::open(path.c_str(), flags, 0600) >= 0; }

constexpr int kNoFence = 77;

TEST(FileFence, OnlyTheFoldersCanBeReadAndNothingWritten) {
  Folder folder;
  int result = in_child([&] {
    auto fenced = fence_files({(folder.root / "in").string(), "/nowhere"});
    if (!fenced) return fenced.error().code == Errc::unimplemented ? kNoFence : 1;
    if (!opens(folder.root / "in" / "file", O_RDONLY)) return 2;
    if (opens(folder.root / "out" / "file", O_RDONLY)) return 3;
    if (opens(folder.root / "in" / "link", O_RDONLY)) return 4;
    if (opens(folder.root / "in" / "file", O_WRONLY)) return 5;
    if (opens(folder.root / "in" / "new", O_WRONLY | O_CREAT)) return 6;
    if (::unlink((folder.root / "in" / "file").c_str()) == 0) return 7;
    return 0;
  });
  if (result == kNoFence) GTEST_SKIP() << "this kernel has no Landlock";
  EXPECT_EQ(result, 0);
}

TEST(WorkerCalls, ItComputesAndNothingElse) {
  Folder folder;
  for (bool may_read : {false, true}) {
    int result = in_child([&] {
      if (!SystemCalls::restrict_worker(may_read)) return 1;
      void* memory = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) return 2;
      if (::mmap(nullptr, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) return 3;
      if (opens(folder.root / "in" / "file", O_RDONLY) != may_read) return 4;
      if (opens(folder.root / "in" / "file", O_WRONLY) || opens(folder.root / "new", O_RDWR | O_CREAT)) return 5;
      for (int family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK}) {
        if (::socket(family, SOCK_STREAM, 0) >= 0) return 6;
      }
      if (::kill(::getppid(), 0) == 0) return 7;
      if (::fork() >= 0) return 8;
      char* none[] = {nullptr};
      ::execve("/bin/true", none, none);
      return errno == EPERM ? 0 : 9;
    });
    EXPECT_EQ(result, 0) << may_read;
  }
}

}  // namespace
}  // namespace penstock::app
