// The nursery's own side.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>

#include "infer/isolated_worker.h"
#include "infer/nursery.h"

namespace penstock::infer::isolated {
namespace {

// Started by root on the way to another user it could become root again: not from here on.
void give_up_identities() {
  gid_t group = ::getegid();
  uid_t user = ::geteuid();
  if (::setresgid(group, group, group) != 0 || ::setresuid(user, user, user) != 0) ::_exit(1);
}

void hide() {
  rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_NAME, "penstock-models", 0, 0, 0);
  // A terminal's ^C and a service manager's TERM are for the gateway, which finishes its answers: it ends us.
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
  int nothing = ::open("/dev/null", O_RDWR);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO}) ::dup2(nothing, fd);
  if (nothing > STDERR_FILENO) ::close(nothing);
}

class Server {
 public:
  Server(int socket, const base::Registry& registry, const Confine& confine)
      : socket_(socket), registry_(registry), confine_(confine) {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &children, nullptr);
    children_ = Descriptor(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  int serve() {
    while (true) {
      std::vector<pollfd> waiting{{socket_.get(), POLLIN, 0}, {children_.get(), POLLIN, 0}};
      std::vector<pid_t> order;
      for (const auto& [pid, lifeline] : lifelines_) {
        if (!lifeline.ending) {
          waiting.push_back({lifeline.socket.get(), POLLIN, 0});
          order.push_back(pid);
        }
      }
      if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return 1;
      for (std::size_t i = 0; i < order.size(); ++i) {
        if (waiting[i + 2].revents != 0) end_worker(order[i]);
      }
      if (waiting[1].revents != 0) reap();
      if (waiting[0].revents != 0 && !accept()) break;
    }
    for (const auto& [pid, lifeline] : lifelines_) ::kill(pid, SIGKILL);
    return 0;
  }

 private:
  struct Lifeline {
    Descriptor socket;
    bool ending = false;
  };

  bool accept() {
    auto packet = receive(socket_.get());
    if (!packet) return false;
    if (packet->descriptors.size() != 2) return true;
    Descriptor control = std::move(packet->descriptors[0]);
    Descriptor lifeline = std::move(packet->descriptors[1]);
    pid_t parent = ::getpid();
    pid_t pid = ::fork();
    if (pid == 0) become_worker(control.release(), parent);
    [[maybe_unused]] auto sent = isolated::send(lifeline.get(), {reinterpret_cast<const char*>(&pid), sizeof(pid)});
    if (pid > 0) lifelines_.emplace(pid, Lifeline{.socket = std::move(lifeline), .ending = false});
    return true;
  }

  [[noreturn]] void become_worker(int control, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != parent) ::_exit(1);
    constexpr int kPlace = 3;
    if (control != kPlace) ::dup2(control, kPlace);
    ::close_range(kPlace + 1, ~0U, 0);
    ::fcntl(kPlace, F_SETFD, FD_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::_exit(serve_worker(kPlace, registry_, confine_));
  }

  void end_worker(pid_t pid) {
    Lifeline& lifeline = lifelines_[pid];
    lifeline.ending = true;
    // Closed with a word unread, it would reset the other end and the news with it.
    [[maybe_unused]] auto word = receive(lifeline.socket.get());
    ::kill(pid, SIGKILL);
  }

  void reap() {
    std::array<signalfd_siginfo, 16> seen{};
    while (::read(children_.get(), seen.data(), sizeof(seen)) > 0) {
    }
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      auto found = lifelines_.find(pid);
      if (found == lifelines_.end()) continue;
      [[maybe_unused]] auto sent =
          isolated::send(found->second.socket.get(), {reinterpret_cast<const char*>(&status), sizeof(status)});
      lifelines_.erase(found);
    }
  }

  Descriptor socket_, children_;
  const base::Registry& registry_;
  const Confine& confine_;
  std::map<pid_t, Lifeline> lifelines_;
};

}  // namespace

int serve_nursery(int socket, const base::Registry& registry, const Confine& confine) {
  give_up_identities();
  hide();
  return Server(socket, registry, confine).serve();
}

}  // namespace penstock::infer::isolated
