#include "app/system_calls.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>

namespace penstock::app {
namespace {

// Names that a machine does not know (open on aarch64) are left out there.
constexpr std::initializer_list<const char*> kMemory{"brk",    "madvise", "mincore", "mlock",
                                                     "mremap", "munlock", "munmap"};
constexpr std::initializer_list<const char*> kFiles{"access",
                                                    "chmod",
                                                    "close",
                                                    "close_range",
                                                    "copy_file_range",
                                                    "dup",
                                                    "dup2",
                                                    "dup3",
                                                    "faccessat",
                                                    "faccessat2",
                                                    "fadvise64",
                                                    "fallocate",
                                                    "fchmod",
                                                    "fchmodat",
                                                    "fchown",
                                                    "fcntl",
                                                    "fdatasync",
                                                    "flock",
                                                    "fstat",
                                                    "fstatfs",
                                                    "fsync",
                                                    "ftruncate",
                                                    "getcwd",
                                                    "getdents64",
                                                    "lseek",
                                                    "lstat",
                                                    "memfd_create",
                                                    "mkdir",
                                                    "mkdirat",
                                                    "newfstatat",
                                                    "open",
                                                    "openat",
                                                    "pipe2",
                                                    "pread64",
                                                    "preadv",
                                                    "pwrite64",
                                                    "pwritev",
                                                    "read",
                                                    "readlink",
                                                    "readlinkat",
                                                    "readv",
                                                    "rename",
                                                    "renameat",
                                                    "renameat2",
                                                    "rmdir",
                                                    "sendfile",
                                                    "stat",
                                                    "statfs",
                                                    "statx",
                                                    "umask",
                                                    "unlink",
                                                    "unlinkat",
                                                    "utimensat",
                                                    "write",
                                                    "writev",
                                                    "inotify_init1",
                                                    "inotify_add_watch",
                                                    "inotify_rm_watch"};
constexpr std::initializer_list<const char*> kTime{
    "clock_getres",   "clock_gettime",   "clock_nanosleep", "gettimeofday", "nanosleep",
    "timerfd_create", "timerfd_gettime", "timerfd_settime", "times",        "getitimer"};
constexpr std::initializer_list<const char*> kThreads{"exit",
                                                      "exit_group",
                                                      "futex",
                                                      "futex_waitv",
                                                      "get_robust_list",
                                                      "getcpu",
                                                      "getpid",
                                                      "getppid",
                                                      "gettid",
                                                      "membarrier",
                                                      "rseq",
                                                      "rt_sigaction",
                                                      "rt_sigpending",
                                                      "rt_sigprocmask",
                                                      "rt_sigreturn",
                                                      "rt_sigsuspend",
                                                      "rt_sigtimedwait",
                                                      "restart_syscall",
                                                      "sched_getaffinity",
                                                      "sched_getparam",
                                                      "sched_getscheduler",
                                                      "sched_get_priority_max",
                                                      "sched_get_priority_min",
                                                      "sched_setaffinity",
                                                      "sched_yield",
                                                      "set_robust_list",
                                                      "set_tid_address",
                                                      "sigaltstack",
                                                      "signalfd4"};
constexpr std::initializer_list<const char*> kWaiting{
    "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2",   "epoll_wait",        "eventfd2",      "poll",
    "ppoll",         "pselect6",  "select",      "io_uring_enter", "io_uring_register", "io_uring_setup"};
constexpr std::initializer_list<const char*> kSockets{
    "accept",   "accept4", "bind",     "connect", "getpeername", "getsockname", "getsockopt", "listen",    "recvfrom",
    "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto",      "setsockopt",  "shutdown",   "socketpair"};
constexpr std::initializer_list<const char*> kFacts{"getegid",   "geteuid",   "getgid",    "getgroups",
                                                    "getrandom", "getresgid", "getresuid", "getrlimit",
                                                    "getrusage", "getuid",    "sysinfo",   "uname"};
// What a new program of ours does from its first instruction until it has its own filter.
constexpr std::initializer_list<const char*> kSuccessor{
    "arch_prctl", "capget",  "capset",  "execve",    "fork",   "kill",  "pidfd_open", "prctl",
    "prlimit64",  "seccomp", "setpgid", "setrlimit", "setsid", "vfork", "wait4",      "waitid"};

// Of a process that has what it needs open.
constexpr std::initializer_list<const char*> kComputing{
    "clock_getres", "clock_gettime", "clock_nanosleep", "close",     "dup",       "eventfd2", "fstat",
    "ftruncate",    "gettimeofday",  "getrandom",       "getrlimit", "getrusage", "lseek",    "nanosleep",
    "poll",         "ppoll",         "pread64",         "preadv",    "read",      "readv",    "recvmsg",
    "sendmsg",      "sysinfo",       "times",           "uname",     "write",     "writev"};
constexpr std::initializer_list<const char*> kLooking{"access",     "faccessat", "faccessat2", "getcwd",
                                                      "getdents64", "lstat",     "newfstatat", "readlink",
                                                      "readlinkat", "stat",      "statfs",     "statx"};

constexpr std::uint64_t kNewNamespaces =
    CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS;
constexpr std::uint64_t kWriteExec = PROT_WRITE | PROT_EXEC;

// Collects the first error of many rules.
class Filter {
 public:
  explicit Filter(std::uint32_t otherwise) : context_(seccomp_init(otherwise), seccomp_release) {}
  scmp_filter_ctx get() const { return context_.get(); }
  int error() const { return error_; }

  void set(scmp_filter_attr attribute, std::uint32_t value) { note(seccomp_attr_set(get(), attribute, value)); }
  void allow(std::initializer_list<const char*> names) {
    for (const char* name : names) allow(name, {});
  }
  // When all conditions hold; several calls for one name mean "or".
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    add(SCMP_ACT_ALLOW, name, conditions);
  }
  void add(std::uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return;
    note(seccomp_rule_add_array(get(), action, number, static_cast<unsigned>(conditions.size()), conditions.begin()));
  }

 private:
  void note(int result) {
    if (error_ == 0 && result < 0) error_ = -result;
  }
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
  int error_ = 0;
};

scmp_arg_cmp equals(unsigned index, std::uint64_t value) { return {index, SCMP_CMP_EQ, value, 0}; }
scmp_arg_cmp masked(unsigned index, std::uint64_t mask, std::uint64_t value) {
  return {index, SCMP_CMP_MASKED_EQ, mask, value};
}

void allow_memory(Filter& filter) {
  filter.allow(kMemory);
  // A library's code is mapped from its file; nothing here makes code.
  for (std::uint64_t protection : {std::uint64_t{0}, std::uint64_t{PROT_WRITE}, std::uint64_t{PROT_EXEC}})
    filter.allow("mmap", {masked(2, kWriteExec, protection)});
  filter.allow("mprotect", {masked(2, PROT_EXEC, 0)});
}

// The same without memory that no limit of a process counts: shared without a file, or a stack that grows.
void allow_counted_memory(Filter& filter) {
  constexpr std::uint64_t kKind = MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN;
  filter.allow(kMemory);
  for (std::uint64_t protection : {std::uint64_t{0}, std::uint64_t{PROT_WRITE}, std::uint64_t{PROT_EXEC}}) {
    for (std::uint64_t kind : {std::uint64_t{0}, std::uint64_t{MAP_SHARED}, std::uint64_t{MAP_ANONYMOUS}})
      filter.allow("mmap", {masked(2, kWriteExec, protection), masked(3, kKind, kind)});
  }
  filter.allow("mprotect", {masked(2, PROT_EXEC, 0)});
}

// Not those that have a signal sent to another process, nor those that make a descriptor wait which the gateway has
// too.
void allow_descriptors(Filter& filter) {
  for (int command : {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_GET_SEALS})
    filter.allow("fcntl", {equals(1, static_cast<std::uint64_t>(command))});
}

void allow_threads(Filter& filter, bool upgrade) {
  filter.allow(kThreads);
  // What clone3 is asked for lies behind a pointer, where no filter looks: the C library then takes clone.
  filter.add(SCMP_ACT_ERRNO(ENOSYS), "clone3", {});
  if (upgrade) {
    filter.allow("clone", {masked(0, kNewNamespaces, 0)});
    filter.allow(kSuccessor);
    return;
  }
  filter.allow("clone", {masked(0, kNewNamespaces | CLONE_THREAD, CLONE_THREAD)});
  auto own = static_cast<std::uint64_t>(::getpid());
  filter.allow("kill", {equals(0, own)});
  for (int option : {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_CAPBSET_READ, PR_SET_TIMERSLACK})
    filter.allow("prctl", {equals(0, static_cast<std::uint64_t>(option))});
}

void allow_reading(Filter& filter) {
  constexpr std::uint64_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC;
  filter.allow(kLooking);
  filter.allow("open", {masked(1, kWriting, O_RDONLY)});
  filter.allow("openat", {masked(2, kWriting, O_RDONLY)});
}

void allow_sockets(Filter& filter) {
  filter.allow(kSockets);
  for (int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
    filter.allow("socket", {equals(0, static_cast<std::uint64_t>(family))});
  for (unsigned long request :
       {std::uint64_t{FIONBIO}, std::uint64_t{FIONREAD}, std::uint64_t{FIOCLEX}, std::uint64_t{TCGETS},
        std::uint64_t{TIOCGWINSZ}, std::uint64_t{SIOCOUTQ}, std::uint64_t{SIOCGIFINDEX}, std::uint64_t{SIOCGIFNAME}})
    filter.allow("ioctl", {equals(1, request)});
}

}  // namespace

Result<void> SystemCalls::restrict(Mode mode, bool upgrade) {
  std::uint32_t otherwise = mode == Mode::log ? SCMP_ACT_LOG : SCMP_ACT_ERRNO(EPERM);
  Filter filter(otherwise);
  if (filter.get() == nullptr) return fail(Errc::resource_exhausted, "security.seccomp: no memory for the filter");
  filter.set(SCMP_FLTATR_ACT_BADARCH, otherwise);
  filter.set(SCMP_FLTATR_CTL_TSYNC, 1);
  filter.set(SCMP_FLTATR_CTL_LOG, 1);
  filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree: the cost does not depend on the place in the list
  allow_memory(filter);
  filter.allow(kFiles);
  filter.allow(kTime);
  allow_threads(filter, upgrade);
  if (!upgrade) filter.allow("prlimit64", {equals(0, 0)});
  // To one of our own threads: abort() and the C library's set*id.
  filter.allow("tgkill", {equals(0, static_cast<std::uint64_t>(::getpid()))});
  filter.allow(kWaiting);
  allow_sockets(filter);
  filter.allow(kFacts);
  int error = filter.error() != 0 ? filter.error() : -seccomp_load(filter.get());
  if (error == 0) return {};
  return fail(Errc::unavailable,
              fmt::format("security.seccomp: the kernel does not take the filter: {}; `seccomp: off` goes without it",
                          std::strerror(error)));
}

Result<void> SystemCalls::restrict_worker(bool may_read) {
  Filter filter(SCMP_ACT_ERRNO(EPERM));
  if (filter.get() == nullptr) return fail(Errc::resource_exhausted, "no memory for the filter of system calls");
  filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  filter.set(SCMP_FLTATR_CTL_TSYNC, 1);
  filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2);
  allow_counted_memory(filter);
  allow_descriptors(filter);
  allow_threads(filter, false);
  filter.allow("prlimit64", {equals(0, 0), equals(2, 0)});  // to look, not to set
  filter.allow("tgkill", {equals(0, static_cast<std::uint64_t>(::getpid()))});
  filter.allow(kComputing);
  if (may_read) allow_reading(filter);
  int error = filter.error() != 0 ? filter.error() : -seccomp_load(filter.get());
  if (error == 0) return {};
  return fail(Errc::unavailable, fmt::format("a model's process cannot be confined here: {}", std::strerror(error)));
}

}  // namespace penstock::app
