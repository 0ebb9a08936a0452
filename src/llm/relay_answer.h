// A provider's answer on its way to the client as it came, and what a client hears when there is none.
#pragma once

#include "llm/ask.h"
#include "llm/failure.h"
#include "llm/pass_through.h"

namespace penstock::llm {

// The client's side of the body failed: too large, too slow, malformed, or gone.
rt::Task<void> refuse_body(flow::Call& call, Error error);

// Ends a call that passed through: hands on the answer, of any size and type, or reports why there is none. `charged`:
// what it reports is the call's. `client`: whose dialect the client speaks.
rt::Task<void> conclude(flow::Call& call, PassThrough& passage, PassThrough::Outcome outcome,
                        std::optional<Passage> charged, Family client);

}  // namespace penstock::llm
