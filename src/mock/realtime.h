// A little of OpenAI's realtime API: enough for text conversations over a WebSocket.
#pragma once

#include "http/exchange.h"
#include "mock/options.h"

namespace penstock::mock {

// GET /v1/realtime?model=NAME. Says session.created, answers session.update, conversation.item.create and
// response.create, and anything else with an error event. A response is session's `tokens` words long, unless the event
// says otherwise ("max_output_tokens"). `failure`: a status instead of the handshake; a cut in the middle of a
// response.
rt::Task<void> serve_realtime(http::Exchange& exchange, const Options& options, Failure failure);

}  // namespace penstock::mock
