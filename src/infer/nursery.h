// Where the processes of isolated models come from. The gateway starts one small process of its own program, which does
// nothing but fork a worker when asked to, tell how it ended, and end it. So a worker has nothing of the gateway's
// memory, environment and descriptors; the gateway may itself be forbidden to start programs (security.seccomp) once
// the nursery is there; and no worker outlives either. See docs/adr/0035.
#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <string>

#include "base/registry.h"
#include "infer/packet_socket.h"

namespace penstock::infer::isolated {

// A worker as the gateway has it. Closing `lifeline` ends it.
struct WorkerProcess {
  pid_t pid = -1;
  Descriptor control;   // its orders
  Descriptor lifeline;  // says how it ended
};

// How a worker ended. `lifeline` must be readable.
std::string describe_end(int lifeline);
// Ends it at once; its lifeline then says so.
void end(int lifeline);

// The gateway's side. Any thread.
class Nursery {
 public:
  // Starts a process that calls serve_nursery() on the descriptor given; its pid, or -1 with errno.
  using Launch = std::function<pid_t(int socket)>;

  static Nursery& instance();
  // Before the first worker: for tests, whose program has no such command.
  void launch_by(Launch launch);
  // Fails with unavailable when the system does not let it start.
  Result<WorkerProcess> spawn();

 private:
  Nursery();
  Result<void> start();
  Result<WorkerProcess> ask();

  std::mutex mutex_;  // guards what follows
  Launch launch_;
  Descriptor socket_;
  pid_t pid_ = -1;
};

// What a worker is allowed once it has begun. `folder` is where its model's files are.
struct Confinement {
  bool may_read = true;  // files of `folder` can still be opened
};
using Confine = std::function<Result<Confinement>(const std::string& folder)>;

// The command `penstock model-worker`: serves the gateway at the other end of `socket` until that is gone.
// Single-threaded.
int serve_nursery(int socket, const base::Registry& registry, const Confine& confine);

}  // namespace penstock::infer::isolated
