// What the attempts of a call used and what that cost: kept in the call's event, from which limits, budgets, log and
// ledger take it. docs/accounting.md says what is charged when.
#pragma once

#include <string>

#include "flow/call.h"
#include "llm/plan.h"
#include "price/cost.h"

namespace penstock::llm {

// What one attempt used.
struct Spent {
  Usage usage;
  bool estimated = false;  // `usage` is ours, not the provider's
  price::Extras extras = {};
};

// Adds it to what the call used before, at the target's price of the call's time. Once per attempt that cost something.
// What it cost alone; nothing when the price is not known.
std::optional<std::int64_t> charge(flow::Call& call, const Target& target, const Spent& spent);

// The same of an attempt whose answer nobody saw, under a budget that has to be sure: as if it had used all that it
// holds. `most`: what is held of money.
std::optional<std::int64_t> charge_held(flow::Call& call, const Target& target, std::int64_t input,
                                        std::optional<std::int64_t> most);

// No provider has counted that: negative, or beyond any context there is.
bool is_absurd(const Usage& usage);

// "x-penstock-cost-usd: 0.000123" with its line end; empty when the cost is not known.
std::string cost_line(const flow::Call& call);

}  // namespace penstock::llm
