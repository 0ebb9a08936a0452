// The variables this process was started with, minus what others could read of them.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/secret.h"

namespace penstock::app {

// /proc/PID/environ shows the memory in which a process got its variables, for as long as it lives. A variable that the
// configuration names is a secret more often than not: its value is copied at the first use and wiped there. Variables
// that say nothing of that kind and are needed by libraries (HOME, PATH, TZ, ...) stay.
class ProcessEnvironment {
 public:
  static ProcessEnvironment& instance();

  // The value, valid as long as the process; null when not set. Any thread.
  const char* take(const std::string& name);
  // NAME=value of every variable, as the process got them: for a successor it starts.
  std::vector<std::string> all();

 private:
  std::mutex mutex_;
  std::map<std::string, base::Secret> taken_;
};

}  // namespace penstock::app
