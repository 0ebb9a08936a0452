// What systemd wants to hear from a service (sd_notify(3), Type=notify or notify-reload). Without NOTIFY_SOCKET nothing
// is said.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "base/clock.h"

namespace penstock::app {

// The main thread's.
class ServiceManager {
 public:
  // `taken_over`: this process replaces another one, for which the watchdog was set.
  explicit ServiceManager(bool taken_over);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  void ready(const std::string& status);
  void reloading();
  void stopping();
  // Another process is the service from now on.
  void main_process(int pid);
  // Says that we are alive, when it is time to.
  void alive(base::SteadyTime now);
  // How often alive() must be called; zero: nobody waits for it.
  base::Duration alive_every() const { return alive_every_; }

 private:
  void send(const std::string& text) const;

  sockaddr_un to_{};
  socklen_t to_size_ = 0;
  int fd_ = -1;
  base::Duration alive_every_{};
  base::SteadyTime alive_at_{};
};

}  // namespace penstock::app
