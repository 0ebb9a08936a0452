#include "app/upgrade.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "app/environment.h"

namespace penstock::app {
namespace {

constexpr const char* kVariable = "PENSTOCK_TAKES_OVER";  // PARENT-PID:DESCRIPTOR
constexpr int kFirst = 3;
constexpr char kReady = 'R';
constexpr char kGo = 'G';

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return text.starts_with(name); });
}

// Ours, without what is about the old process alone, and with what the new one is to know.
std::vector<std::string> make_environment(const std::vector<HandedSocket>& sockets, int channel) {
  std::vector<std::string> variables;
  for (std::string& variable : ProcessEnvironment::instance().all()) {
    if (!starts_with_any(variable, {"LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "WATCHDOG_PID="}))
      variables.push_back(std::move(variable));
  }
  std::string names;
  for (const HandedSocket& socket : sockets) names += (names.empty() ? "" : ":") + socket.name;
  variables.push_back(fmt::format("LISTEN_FDS={}", sockets.size()));
  variables.push_back("LISTEN_FDNAMES=" + names);
  variables.push_back(fmt::format("{}={}:{}", kVariable, ::getpid(), channel));
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Descriptors of the new process: 0 to 2 as ours, the sockets from 3 on, then the channel, and none besides.
class Plan {
 public:
  Plan(const std::vector<HandedSocket>& sockets, int channel) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    int count = static_cast<int>(sockets.size());
    for (int i = 0; i < count; ++i) add(sockets[static_cast<std::size_t>(i)].fd, kFirst + i, count);
    add(channel, kFirst + count, count);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, kFirst + count + 1);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    for (int fd : copies_) ::close(fd);
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  int error() const { return error_; }  // of what could not be handed over; 0: all of it is there
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  // By a copy above all places, so that no place is overwritten before it was copied.
  void add(int from, int to, int count) {
    int copy = ::fcntl(from, F_DUPFD_CLOEXEC, kFirst + count + 1);
    if (copy < 0) {
      error_ = errno;
      return;
    }
    copies_.push_back(copy);
    if (int error = ::posix_spawn_file_actions_adddup2(&actions_, copy, to); error != 0) error_ = error;
  }
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
  std::vector<int> copies_;
  int error_ = 0;
};

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return fmt::format("the new process was ended by signal {}", WTERMSIG(status));
  return fmt::format("the new process ended with status {}; its own words are on standard error", WEXITSTATUS(status));
}

}  // namespace

Invocation remember_invocation(int argc, char** argv) {
  Invocation invocation;
  invocation.arguments.assign(argv, argv + argc);
  std::error_code ec;
  // A path as written may be a link that points to a newer program later; a bare name was looked up by the shell.
  bool has_path = argc > 0 && std::string_view(argv[0]).find('/') != std::string_view::npos;
  invocation.program = has_path ? std::filesystem::absolute(argv[0], ec).string()
                                : std::filesystem::read_symlink("/proc/self/exe", ec).string();
  return invocation;
}

Result<Successor> Successor::start(const Invocation& invocation, const std::vector<HandedSocket>& sockets,
                                   base::Duration patience) {
  std::array<int, 2> channel{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, channel.data()) != 0)
    return penstock::fail(Errc::internal, fmt::format("cannot make a channel: {}", std::strerror(errno)));
  Plan plan(sockets, channel[1]);
  if (plan.error() != 0) {
    for (int end : channel) ::close(end);
    return penstock::fail(Errc::resource_exhausted,
                          fmt::format("the listening sockets cannot be handed over: {}; mostly the limit of open files "
                                      "(ulimit -n) leaves no room for them",
                                      std::strerror(plan.error())));
  }
  std::vector<std::string> arguments = invocation.arguments;
  std::vector<std::string> environment = make_environment(sockets, kFirst + static_cast<int>(sockets.size()));
  std::vector<char*> argv = pointers_to(arguments);
  std::vector<char*> envp = pointers_to(environment);
  pid_t pid = -1;
  int error =
      ::posix_spawn(&pid, invocation.program.c_str(), plan.actions(), plan.attributes(), argv.data(), envp.data());
  ::close(channel[1]);
  if (error != 0) {
    ::close(channel[0]);
    return penstock::fail(Errc::internal, fmt::format("cannot start {}: {}", invocation.program, std::strerror(error)));
  }
  return Successor(pid, channel[0], std::chrono::steady_clock::now() + patience);
}

Successor::Successor(Successor&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      channel_(std::exchange(other.channel_, -1)),
      deadline_(other.deadline_),
      why_(std::move(other.why_)) {}

Successor& Successor::operator=(Successor&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(channel_, other.channel_);
  std::swap(deadline_, other.deadline_);
  std::swap(why_, other.why_);
  return *this;
}

Successor::~Successor() {
  if (channel_ >= 0) ::close(channel_);
}

void Successor::end() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

Successor::State Successor::look(base::SteadyTime now) {
  char said = 0;
  ssize_t got = ::read(channel_, &said, 1);
  if (got == 1 && said == kReady) return State::ready;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) {
    pid_ = -1;
    why_ = describe_end(status);
    return State::failed;
  }
  if (got == 0) {
    why_ = "the new process closed its channel before it was ready";
    end();
    return State::failed;
  }
  if (now < deadline_) return State::starting;
  why_ = "the new process was not ready in time and was ended";
  end();
  return State::failed;
}

void Successor::let_go() {
  [[maybe_unused]] ssize_t sent = ::send(channel_, &kGo, 1, MSG_NOSIGNAL);
  ::close(std::exchange(channel_, -1));
}

std::optional<Predecessor> Predecessor::from_environment() {
  const char* value = std::getenv(kVariable);
  if (value == nullptr) return std::nullopt;
  int pid = -1;
  int channel = -1;
  bool read = std::sscanf(value, "%d:%d", &pid, &channel) == 2 && pid == ::getppid() && channel >= kFirst;
  ::unsetenv(kVariable);
  if (!read || ::fcntl(channel, F_SETFD, FD_CLOEXEC) != 0) return std::nullopt;
  return Predecessor(channel);
}

Predecessor::Predecessor(Predecessor&& other) noexcept : channel_(std::exchange(other.channel_, -1)) {}

Predecessor::~Predecessor() {
  if (channel_ >= 0) ::close(channel_);
}

void Predecessor::tell_ready() { [[maybe_unused]] ssize_t sent = ::send(channel_, &kReady, 1, MSG_NOSIGNAL); }

void Predecessor::wait(base::Duration at_most) {
  pollfd waiting{channel_, POLLIN, 0};
  ::poll(&waiting, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(at_most).count()));
}

}  // namespace penstock::app
