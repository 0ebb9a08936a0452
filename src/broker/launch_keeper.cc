#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "broker/keeper.h"

namespace penstock::broker {
namespace {

constexpr int kSocketPlace = 3;

}  // namespace

pid_t launch_keeper(int socket, const std::string& program, const std::string& settings) {
  // A copy above its place: a descriptor that is put where it is keeps its "close on exec".
  const int copy = ::fcntl(socket, F_DUPFD_CLOEXEC, kSocketPlace + 1);
  if (copy < 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, copy, kSocketPlace);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kSocketPlace + 1);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::string name = "penstock", command = "broker-keeper", of = program, with = settings;
  std::array<char*, 5> arguments{name.data(), command.data(), of.data(), with.data(), nullptr};
  // Nothing of the gateway's environment, where secrets may be.
  std::array<char*, 1> environment{nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  ::close(copy);
  errno = error;
  return error == 0 ? pid : -1;
}

}  // namespace penstock::broker
