#include "app/changes.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>

namespace penstock::app {

Changes::Changes(const std::vector<int>& signals, const std::vector<std::string>& folders, std::string ignored)
    : ignored_(std::move(ignored)) {
  sigemptyset(&signals_);
  for (int signal : signals) sigaddset(&signals_, signal);
  signal_fd_ = ::signalfd(-1, &signals_, SFD_NONBLOCK | SFD_CLOEXEC);
  folder_fd_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  constexpr std::uint32_t kAnyChange =
      IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF;
  for (const std::string& folder : folders) {
    if (folder_fd_ < 0 || ::inotify_add_watch(folder_fd_, folder.c_str(), kAnyChange) < 0) complete_ = false;
  }
}

Changes::~Changes() {
  if (signal_fd_ >= 0) ::close(signal_fd_);
  if (folder_fd_ >= 0) ::close(folder_fd_);
}

int Changes::wait(base::Duration at_most, bool folders_too) {
  changed_ = false;
  auto millis = std::chrono::ceil<std::chrono::milliseconds>(at_most).count();
  // poll() leaves out negative descriptors.
  std::array<pollfd, 2> waiting{{{signal_fd_, POLLIN, 0}, {folders_too ? folder_fd_ : -1, POLLIN, 0}}};
  if (::poll(waiting.data(), waiting.size(), static_cast<int>(millis)) <= 0) return 0;
  signalfd_siginfo info{};
  if (::read(signal_fd_, &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
  changed_ = read_events();
  return 0;
}

// What exactly changed does not matter: whoever waits looks for itself.
bool Changes::read_events() {
  bool changed = false;
  alignas(inotify_event) std::array<char, 4096> events{};
  for (ssize_t got = 0; (got = ::read(folder_fd_, events.data(), events.size())) > 0;) {
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, events.data() + at, sizeof event);
      const char* name = events.data() + at + sizeof event;
      std::string_view file(name, event.len == 0 ? 0 : std::strlen(name));
      changed = changed || ignored_.empty() || !file.starts_with(ignored_);
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
  return changed;
}

}  // namespace penstock::app
