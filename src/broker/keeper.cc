#include "broker/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "base/backoff.h"

namespace penstock::broker {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kBackoffLeast = 200ms;
constexpr base::Duration kBackoffMost = 30s;
// A broker that lived this long is started again without delay growing further.
constexpr base::Duration kGoodLife = 10s;
// For saving its messages, before it is killed.
constexpr base::Duration kStopWithin = 5s;
constexpr std::size_t kLineMax = 400;

base::SteadyTime now() { return base::system_clock().steady(); }

// Started by root on the way to another user it could become root again: not from here on.
void give_up_identities() {
  const gid_t group = ::getegid();
  const uid_t user = ::geteuid();
  if (::setresgid(group, group, group) != 0 || ::setresuid(user, user, user) != 0) ::_exit(1);
}

void settle_in() {
  ::setsid();  // a terminal's ^C is for the gateway, which ends us
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_NAME, "penstock-broker", 0, 0, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &children, nullptr);
}

std::string describe(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

class Keeper {
 public:
  Keeper(int socket, std::string program, std::string settings)
      : socket_(socket),
        program_(std::move(program)),
        settings_(std::move(settings)),
        backoff_(kBackoffLeast, kBackoffMost) {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    children_ = ::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  int serve() {
    while (!finished()) {
      std::array<pollfd, 3> waiting{
          {{gateway_gone_ ? -1 : socket_, POLLIN, 0}, {children_, POLLIN, 0}, {output_, POLLIN, 0}}};
      if (::poll(waiting.data(), waiting.size(), patience()) < 0 && errno != EINTR) return 1;
      if (waiting[2].revents != 0) read_output();
      if (waiting[1].revents != 0) reap();
      if (waiting[0].revents != 0) obey();
      look_at_clock();
    }
    tell(News::finished);
    return 0;
  }

 private:
  bool finished() const { return finishing_ && pid_ < 0; }

  int patience() const {
    std::optional<base::SteadyTime> next;
    if (pid_ > 0) next = kill_at_;
    if (pid_ < 0) next = start_at_;
    if (!next) return -1;
    return static_cast<int>(
        std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(*next - now()).count()));
  }

  void look_at_clock() {
    if (pid_ > 0 && kill_at_ && now() >= *kill_at_) ::kill(pid_, SIGKILL);
    if (pid_ < 0 && start_at_ && !finishing_ && now() >= *start_at_) start();
  }

  void tell(News kind, std::string_view text = {}) {
    std::string packet(1, static_cast<char>(kind));
    packet += text;
    ::send(socket_, packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void obey() {
    char order = 0;
    if (::recv(socket_, &order, 1, 0) <= 0) {
      gateway_gone_ = true;
      return finish();
    }
    switch (static_cast<Order>(order)) {
      case Order::start:
        if (pid_ < 0 && !finishing_) start();
        return;
      case Order::again:
        backoff_.reset();
        if (pid_ > 0) return end();
        if (start_at_) start_at_ = now();
        return;
      case Order::reread:
        if (pid_ > 0) ::kill(pid_, SIGHUP);
        return;
      case Order::finish: return finish();
    }
  }

  void finish() {
    finishing_ = true;
    if (pid_ > 0 && !kill_at_) end();
  }

  void end() {
    ending_ = true;
    ::kill(pid_, SIGTERM);
    kill_at_ = now() + kStopWithin;
  }

  void start() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_to_start(std::strerror(errno));
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become_broker(ends[1], parent);
    const int why = errno;
    ::close(ends[1]);
    if (pid < 0) {
      ::close(ends[0]);
      return fail_to_start(std::strerror(why));
    }
    if (output_ >= 0) ::close(output_);
    output_ = ends[0];
    ::fcntl(output_, F_SETFL, O_NONBLOCK);
    pid_ = pid;
    began_ = now();
    kill_at_.reset();
    start_at_.reset();
    tell(News::running, std::to_string(pid));
  }

  void fail_to_start(const char* why) {
    tell(News::ended, fmt::format("no process can be made for the broker: {}", why));
    start_at_ = now() + backoff_.next();
  }

  [[noreturn]] void become_broker(int output, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (::getppid() != parent) ::_exit(1);
    const int nothing = ::open("/dev/null", O_RDWR);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execl(program_.c_str(), program_.c_str(), "-c", settings_.c_str(), static_cast<char*>(nullptr));
    ::dprintf(STDERR_FILENO, "Error: cannot start %s: %s\n", program_.c_str(), std::strerror(errno));
    ::_exit(127);
  }

  void read_output() {
    std::array<char, 4096> piece{};
    ssize_t size = 0;
    while ((size = ::read(output_, piece.data(), piece.size())) > 0) {
      for (char c : std::string_view(piece.data(), static_cast<std::size_t>(size))) {
        if (c != '\n') {
          if (line_.size() < kLineMax) line_ += c;
          continue;
        }
        tell(News::line, line_);
        if (line_.find("rror") != std::string::npos) last_error_ = line_;
        line_.clear();
      }
    }
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) {
      ::close(output_);
      output_ = -1;
    }
  }

  void reap() {
    std::array<signalfd_siginfo, 4> seen{};
    while (::read(children_, seen.data(), sizeof(seen)) > 0) {
    }
    int status = 0;
    if (pid_ < 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return;
    if (output_ >= 0) read_output();
    pid_ = -1;
    if (now() - began_ >= kGoodLife) backoff_.reset();
    std::string why = describe(status);
    if (!last_error_.empty()) why += ": " + last_error_;
    last_error_.clear();
    tell(News::ended, why);
    start_at_ = std::exchange(ending_, false) ? now() : now() + backoff_.next();
  }

  const int socket_;
  const std::string program_;
  const std::string settings_;
  base::Backoff backoff_;
  int children_ = -1;
  int output_ = -1;  // of the broker
  std::string line_, last_error_;
  pid_t pid_ = -1;
  bool ending_ = false;  // it was told to
  bool finishing_ = false;
  bool gateway_gone_ = false;
  base::SteadyTime began_{};
  std::optional<base::SteadyTime> kill_at_, start_at_;
};

}  // namespace

int serve_keeper(int socket, const std::string& program, const std::string& settings) {
  give_up_identities();
  settle_in();
  return Keeper(socket, program, settings).serve();
}

}  // namespace penstock::broker
