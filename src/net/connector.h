// Connecting out: name to addresses to a connected stream.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"
#include "net/stream.h"
#include "rt/task.h"

namespace penstock::net {

// Addresses of `address`. Numeric ones and localhost at once; names through the system's resolver on a thread of its
// own, remembered for 30 s (and served stale for 10 min while the resolver fails).
rt::Task<Result<std::vector<Endpoint>>> resolve(rt::Loop& loop, HostPort address);

// Tries the addresses in order until one connects before `deadline`. The error names the address and the reason.
rt::Task<Result<std::unique_ptr<Stream>>> connect(rt::Loop& loop, HostPort address, base::SteadyTime deadline);

}  // namespace penstock::net
