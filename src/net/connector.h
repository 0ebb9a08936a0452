// Connecting out: name to addresses to a connected stream.
#pragma once

#include <memory>

#include "base/result.h"
#include "net/address.h"
#include "net/stream.h"
#include "rt/task.h"
#include "rt/wait.h"

namespace penstock::net {

// Connects to whichever address of the name answers first (RFC 8305, "happy eyeballs"): families in turn, the next
// address after 250 ms or as soon as one failed, the slower ones closed. Name and connection together end at `deadline`
// (deadline_exceeded) and with the cancellation (cancelled), at once. Addresses that net::Egress does not permit are
// left out; permission_denied when none is left. Other errors name the address and the reason.
rt::Task<Result<std::unique_ptr<Stream>>> connect(rt::Loop& loop, HostPort address, base::SteadyTime deadline,
                                                  rt::Cancellation* cancellation = nullptr);

// Whatever a URL names: its host and port, or its local socket.
rt::Task<Result<std::unique_ptr<Stream>>> connect(rt::Loop& loop, const Url& url, base::SteadyTime deadline,
                                                  rt::Cancellation* cancellation = nullptr);

// The same for addresses that are known, in the order given but families in turn.
rt::Task<Result<std::unique_ptr<Stream>>> connect_any(rt::Loop& loop, std::vector<Endpoint> addresses,
                                                      base::SteadyTime deadline,
                                                      rt::Cancellation* cancellation = nullptr);

}  // namespace penstock::net
