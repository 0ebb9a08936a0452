// What the outcome of a call says about the provider's health, and the log of it.
#pragma once

#include "http/origin.h"
#include "obs/event.h"

namespace penstock::llm {

// How a call ended as far as the provider is concerned.
enum class Outcome { good, bad, neither };

// `type` is none after a good answer; `status` is 0 when there was none. A refusal (4xx) is an answer; a 429 says the
// provider is busy, and what our caller or we did ourselves says nothing.
Outcome outcome_of(obs::ErrorType type, int status);

// Counts it; logs when the provider is taken out or comes back. Any core.
void note_outcome(const http::Origin& origin, Outcome outcome, base::SteadyTime now, std::string_view why = {});

// The outcome of an active check. `why` explains a bad one.
void note_check(const http::Origin& origin, bool good, std::string_view why);

}  // namespace penstock::llm
