// Names to addresses: DNS with the records' time to live and /etc/hosts, over c-ares, on one thread for all loops.
// See docs/adr/0013.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"
#include "rt/task.h"
#include "rt/wait.h"

namespace penstock::net {

using Addresses = std::vector<Endpoint>;

// All of it may be called from any loop. Identical look-ups under way are one; an answer serves everybody until its
// time to live is over.
class Resolver {
 public:
  struct Options {
    std::string servers;  // "127.0.0.1:53,[::1]:53"; empty: those of /etc/resolv.conf, read again when it changes
    base::Duration timeout = std::chrono::seconds(2);  // of the first try; later ones wait longer
    int tries = 2;                                     // per server
    std::function<base::SteadyTime()> now = [] { return std::chrono::steady_clock::now(); };
  };
  struct Stats {
    std::uint64_t lookups = 0;   // asked of the hosts file and the servers
    std::uint64_t failures = 0;  // of these
    std::uint64_t stale = 0;     // callers who got an answer past its time because the servers failed
  };

  explicit Resolver(Options options);
  ~Resolver();  // no caller may be waiting any more
  // The one of the process; its thread starts with the first name that is no address.
  static Resolver& instance();

  // Asks these servers from now on (as Options::servers).
  void use_servers(std::string servers);
  Stats stats() const;

  // Addresses of `address` with its port, at least one. Numeric ones and localhost never wait. The wait ends at
  // `deadline` (deadline_exceeded) and with the cancellation (cancelled); the look-up itself goes on for the others.
  // Other errors: unavailable (no such name, no answer), backpressure (too many look-ups).
  rt::Task<Result<Addresses>> resolve(rt::Loop& loop, HostPort address, base::SteadyTime deadline,
                                      rt::Cancellation* cancellation = nullptr);

 private:
  class Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace penstock::net
