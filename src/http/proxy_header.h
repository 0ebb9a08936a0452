// The PROXY header of a connection, taken before anything else is read from it.
#pragma once

#include "http/server.h"
#include "net/stream.h"

namespace penstock::http {

// Replaces `peer` by the client the header names, if it names one. Takes exactly the header's bytes. Errors:
// permission_denied (the sender is none of the listener's trusted proxies), protocol_error (no header, or a bad one),
// deadline_exceeded, and those of the stream. Outlived by all it refers to.
rt::Task<Result<void>> take_proxy_header(net::Stream& stream, const ListenerOptions& listener, base::Duration patience,
                                         net::Endpoint& peer);

}  // namespace penstock::http
