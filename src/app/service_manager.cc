#include "app/service_manager.h"

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <string_view>

namespace penstock::app {

ServiceManager::ServiceManager(bool taken_over) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  std::string_view name(path);
  if (name.size() >= sizeof to_.sun_path) return;
  to_.sun_family = AF_UNIX;
  name.copy(to_.sun_path, name.size());
  if (name.front() == '@') to_.sun_path[0] = '\0';
  to_size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const char* micros = std::getenv("WATCHDOG_USEC");
  const char* pid = std::getenv("WATCHDOG_PID");
  bool for_us = taken_over || pid == nullptr || std::atoi(pid) == ::getpid();
  // Twice as often as asked for, as sd_watchdog_enabled(3) advises.
  if (micros != nullptr && for_us) alive_every_ = std::chrono::microseconds(std::atoll(micros) / 2);
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) ::close(fd_);
}

void ServiceManager::send(const std::string& text) const {
  if (fd_ < 0) return;
  ::sendto(fd_, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to_), to_size_);
}

void ServiceManager::ready(const std::string& status) { send("READY=1\nSTATUS=" + status); }

void ServiceManager::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading", now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

void ServiceManager::stopping() { send("STOPPING=1\nSTATUS=draining"); }

void ServiceManager::main_process(int pid) { send(fmt::format("MAINPID={}", pid)); }

void ServiceManager::alive(base::SteadyTime now) {
  if (alive_every_ <= base::Duration::zero() || now < alive_at_) return;
  alive_at_ = now + alive_every_;
  send("WATCHDOG=1");
}

}  // namespace penstock::app
