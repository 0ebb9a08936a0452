// What a caller is told when no target answered.
#pragma once

#include "llm/failure.h"

namespace penstock::llm {

// Answers with the provider's own words where they are in the client's dialect already, or can be said in it; else with
// the dialect's error.
rt::Task<void> report(flow::Call& call, Failure failure, const Request& request);
// The same for a call that passed through unread: what another family's provider said is not translated.
rt::Task<void> report(flow::Call& call, Failure failure, Family client = Family::openai);

// In the dialect's own words for an input that is too long for the model.
rt::Task<void> report_over_context(flow::Call& call, Error error, const Request& request);

}  // namespace penstock::llm
