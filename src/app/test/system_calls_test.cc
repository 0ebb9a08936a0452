#include "app/system_calls.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <thread>

namespace penstock::app {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PENSTOCK_SANITIZED 1
#endif
#endif

// Runs `body` in a child that `restrict` confines; its exit status is how many of its calls went another way than
// wanted.
template <class Restrict, class Body>
void expect_confined(Restrict restrict, Body body) {
#ifdef PENSTOCK_SANITIZED
  GTEST_SKIP() << "the filter does not know the sanitizers' own calls";
#endif
  pid_t child = ::fork();
  if (child == 0) {
    if (!restrict()) ::_exit(100);
    ::_exit(body());
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "calls that went another way";
}

template <class Body>
void expect_in_child(SystemCalls::Mode mode, bool upgrade, Body body) {
  expect_confined([&] { return SystemCalls::restrict(mode, upgrade); }, body);
}

int refused(long result) { return result == -1 && errno == EPERM ? 0 : 1; }
int done(long result) { return result != -1 ? 0 : 1; }

int try_to_run_a_program() {
  const char* arguments[] = {"/bin/true", nullptr};
  return static_cast<int>(::execve(arguments[0], const_cast<char**>(arguments), environ));
}

TEST(SystemCalls, RefuseWhatAGatewayNeverDoes) {
  expect_in_child(SystemCalls::Mode::on, false, [] {
    int wrong = refused(try_to_run_a_program());
    wrong += refused(::syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
    wrong += refused(::mount("none", "/mnt", "tmpfs", 0, nullptr));
    wrong += refused(::fork());
    wrong += refused(::unshare(CLONE_NEWUSER));
    wrong += refused(::setuid(0));
    wrong += refused(::chroot("/"));
    wrong += refused(::kill(::getppid(), 0));
    wrong += refused(::socket(AF_PACKET, SOCK_RAW, 0));
    wrong += refused(::socket(AF_VSOCK, SOCK_STREAM, 0));
    wrong += refused(::syscall(SYS_bpf, 0, nullptr, 0));
    wrong += refused(::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0));
    wrong += refused(::syscall(SYS_process_vm_readv, ::getppid(), nullptr, 0, nullptr, 0, 0));
    return wrong;
  });
}

TEST(SystemCalls, RefuseMemoryThatIsWrittenAndRun) {
  expect_in_child(SystemCalls::Mode::on, false, [] {
    void* both = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int wrong = both == MAP_FAILED ? 0 : 1;
    wrong += page == MAP_FAILED ? 1 : 0;
    wrong += refused(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
    wrong += done(::mprotect(page, 4096, PROT_READ));
    return wrong;
  });
}

TEST(SystemCalls, AllowWhatAGatewayDoes) {
  expect_in_child(SystemCalls::Mode::on, false, [] {
    int wrong = done(::socket(AF_INET, SOCK_STREAM, 0)) + done(::socket(AF_INET6, SOCK_DGRAM, 0));
    int in_thread = 1;
    std::thread([&] { in_thread = done(::getpid()); }).join();
    std::ifstream file("/proc/self/status");
    std::string line;
    bool filtered = false;
    while (std::getline(file, line)) filtered = filtered || line == "Seccomp:\t2";
    return wrong + in_thread + (filtered ? 0 : 1);
  });
}

TEST(SystemCalls, LetASuccessorStartWhereThatIsAllowed) {
  expect_in_child(SystemCalls::Mode::on, true, [] {
    pid_t child = ::fork();
    if (child == 0) ::_exit(try_to_run_a_program() == 0 ? 0 : 7);
    int status = 0;
    int wrong = ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
    wrong += refused(::mount("none", "/mnt", "tmpfs", 0, nullptr));
    return wrong + refused(::unshare(CLONE_NEWUSER));
  });
}

int mapped(int flags, int file) {
  return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, flags, file, 0) == MAP_FAILED ? -1 : 0;
}

TEST(SystemCalls, LeaveAWorkerNoMemoryThatIsNotCounted) {
  int file = ::memfd_create("test", 0);
  ASSERT_EQ(::ftruncate(file, 4096), 0);
  expect_confined([] { return SystemCalls::restrict_worker(false); },
                  [&] {
                    int wrong = done(mapped(MAP_PRIVATE | MAP_ANONYMOUS, -1)) + done(mapped(MAP_SHARED, file));
                    wrong += done(mapped(MAP_PRIVATE, file));
                    wrong += refused(mapped(MAP_SHARED | MAP_ANONYMOUS, -1));
                    wrong += refused(mapped(MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1));
                    wrong += refused(::memfd_create("more", 0));
                    rlimit limit{};
                    wrong += done(::prlimit(0, RLIMIT_DATA, nullptr, &limit));
                    return wrong + refused(::prlimit(0, RLIMIT_DATA, &limit, nullptr));
                  });
  ::close(file);
}

TEST(SystemCalls, LeaveAWorkerNoWayToSignalOthers) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  expect_confined([] { return SystemCalls::restrict_worker(false); },
                  [&] {
                    int wrong = refused(::fcntl(ends[0], F_SETOWN, ::getppid()));
                    wrong += refused(::fcntl(ends[0], F_SETSIG, SIGKILL));
                    wrong += refused(::fcntl(ends[0], F_SETFL, O_ASYNC));
                    wrong += refused(::kill(::getppid(), SIGKILL));
                    return wrong + done(::fcntl(ends[0], F_GETFD));
                  });
  for (int end : ends) ::close(end);
}

TEST(SystemCalls, OnlyTellInLogMode) {
  expect_in_child(SystemCalls::Mode::log, false, [] {
    pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    return done(child);
  });
}

}  // namespace
}  // namespace penstock::app
