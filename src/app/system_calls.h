// The system calls the gateway makes, and a filter that refuses all others.
#pragma once

#include "base/result.h"

namespace penstock::app {

class SystemCalls {
 public:
  // `log` refuses nothing: the kernel's audit log names what `on` would refuse.
  enum class Mode { off, log, on };

  // Installs the filter in every thread, for good; what it refuses fails with EPERM and is in the audit log. Also
  // refused: memory both writable and executable, sockets but unix, IPv4, IPv6 and netlink, signals to other processes,
  // new processes and programs. `upgrade` permits these last two, which a successor needs to start, and no more.
  // Errors: the kernel has no seccomp, or refused it.
  static Result<void> restrict(Mode mode, bool upgrade);

  // For the process of an isolated model, in every thread, for good: it computes, and talks over the sockets it has.
  // All else fails with EPERM. `may_read`: files can be opened for reading; which ones is for somebody else to bound.
  static Result<void> restrict_worker(bool may_read);
};

}  // namespace penstock::app
