#include "infer/nursery.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

namespace penstock::infer::isolated {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);
// The only variables a worker sees: where libraries are.
constexpr std::array<const char*, 2> kVariables{"PENSTOCK_ORT_LIBRARY", "LD_LIBRARY_PATH"};
constexpr int kSocketPlace = 3;

pid_t launch_program(int socket) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  // A copy above its place: a descriptor that is put where it is keeps its "close on exec".
  Descriptor copy(::fcntl(socket, F_DUPFD_CLOEXEC, kSocketPlace + 1));
  ::posix_spawn_file_actions_adddup2(&actions, copy.get(), kSocketPlace);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kSocketPlace + 1);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::vector<std::string> variables;
  for (const char* name : kVariables) {
    if (const char* value = std::getenv(name)) variables.push_back(fmt::format("{}={}", name, value));
  }
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string program = "penstock", command = "model-worker";
  std::array<char*, 3> arguments{program.data(), command.data(), nullptr};
  pid_t pid = -1;
  int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  errno = error;
  return error == 0 ? pid : -1;
}

}  // namespace

std::string describe_end(int lifeline) {
  auto packet = receive(lifeline);
  int status = 0;
  if (!packet || packet->text.size() != sizeof(status)) return "ended with the process that started it";
  std::memcpy(&status, packet->text.data(), sizeof(status));
  if (WIFSIGNALED(status))
    return fmt::format("ended by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

void end(int lifeline) { [[maybe_unused]] auto sent = send(lifeline, "k"); }

Nursery& Nursery::instance() {
  static Nursery* nursery = new Nursery();  // models may go after what is static
  return *nursery;
}

Nursery::Nursery() : launch_(launch_program) {}

void Nursery::launch_by(Launch launch) {
  std::lock_guard lock(mutex_);
  launch_ = std::move(launch);
}

Result<void> Nursery::start() {
  if (pid_ > 0) ::waitpid(pid_, nullptr, WNOHANG);
  auto ends = make_pair();
  if (!ends) return std::unexpected(std::move(ends.error()));
  pid_ = launch_((*ends)[1].get());
  if (pid_ < 0) {
    bool forbidden = errno == EPERM || errno == EACCES;
    return fail(Errc::unavailable,
                fmt::format("the process for isolated models cannot be started: {}{}", std::strerror(errno),
                            forbidden ? "; with security.seccomp it starts only with the gateway: restart it, or set "
                                        "security.upgrade"
                                      : ""));
  }
  socket_ = std::move((*ends)[0]);
  return {};
}

Result<WorkerProcess> Nursery::ask() {
  auto control = make_pair();
  auto lifeline = make_pair();
  if (!control) return std::unexpected(std::move(control.error()));
  if (!lifeline) return std::unexpected(std::move(lifeline.error()));
  if (auto sent = send(socket_.get(), "s", {(*control)[1].get(), (*lifeline)[1].get()}); !sent)
    return std::unexpected(std::move(sent.error()));
  (*control)[1].reset();
  (*lifeline)[1].reset();
  WorkerProcess worker{.pid = -1, .control = std::move((*control)[0]), .lifeline = std::move((*lifeline)[0])};
  if (wait(worker.lifeline.get(), -1, kPatience) != Ready::packet)
    return fail(Errc::unavailable, "the process for isolated models does not answer");
  auto born = receive(worker.lifeline.get());
  if (!born) return std::unexpected(std::move(born.error()));
  if (born->text.size() != sizeof(worker.pid)) return fail(Errc::unavailable, "no process can be made for the model");
  std::memcpy(&worker.pid, born->text.data(), sizeof(worker.pid));
  if (worker.pid <= 0) return fail(Errc::unavailable, "no process can be made for the model: the system is full");
  return worker;
}

Result<WorkerProcess> Nursery::spawn() {
  std::lock_guard lock(mutex_);
  if (pid_ > 0) {
    auto worker = ask();
    // It says nothing on its socket: what can be read there is its end. Another one while it lives would be the end of
    // every worker it has.
    if (worker || wait(socket_.get(), -1, base::Duration::zero()) != Ready::packet) return worker;
  }
  // It is the first, or the nursery is gone.
  if (auto started = start(); !started) return std::unexpected(std::move(started.error()));
  return ask();
}

}  // namespace penstock::infer::isolated
