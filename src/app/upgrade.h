// Another process of this program takes over without a connection being refused: both have the same listening sockets.
// The old process starts the new one and goes on serving; the new one starts completely, accepts, and says so; the old
// one stops its sources and pipelines and says so; the new one starts its own; the old one finishes its answers and
// ends. See docs/adr/0019.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::app {

// What this process was started as, remembered before anything changes: the program's path may mean another file later.
struct Invocation {
  std::string program;
  std::vector<std::string> arguments;  // with the program's name
};
Invocation remember_invocation(int argc, char** argv);

struct HandedSocket {
  int fd = -1;
  std::string name;
};

// The new process as the old one sees it. The main thread's.
class Successor {
 public:
  enum class State { starting, ready, failed };

  // Starts it. Errors: internal, with the reason; resource_exhausted when a socket cannot be handed over. `patience`:
  // how long it may take to be ready.
  static Result<Successor> start(const Invocation& invocation, const std::vector<HandedSocket>& sockets,
                                 base::Duration patience);
  Successor(Successor&& other) noexcept;
  Successor& operator=(Successor&& other) noexcept;
  ~Successor();

  // Looks without waiting. A successor that took too long is ended.
  State look(base::SteadyTime now);
  const std::string& why() const { return why_; }  // it failed
  pid_t pid() const { return pid_; }
  // Ends it at once, and waits for its end.
  void end();
  // Lets it start its sources and pipelines.
  void let_go();

 private:
  Successor(pid_t pid, int channel, base::SteadyTime deadline) : pid_(pid), channel_(channel), deadline_(deadline) {}
  pid_t pid_ = -1;
  int channel_ = -1;
  base::SteadyTime deadline_;
  std::string why_;
};

// The old process as the new one sees it. The main thread's.
class Predecessor {
 public:
  // Nothing when this process takes over from nobody. Removes the announcement from the environment.
  static std::optional<Predecessor> from_environment();
  Predecessor(Predecessor&& other) noexcept;
  Predecessor& operator=(Predecessor&&) = delete;
  ~Predecessor();

  void tell_ready();
  // Until it has stopped its sources and pipelines, or has gone, or time is over.
  void wait(base::Duration at_most);

 private:
  explicit Predecessor(int channel) : channel_(channel) {}
  int channel_ = -1;
};

}  // namespace penstock::app
