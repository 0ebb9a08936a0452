// From tokens to money. Exact: sums are kept in 128 bits and rounded up once, to a whole micro-dollar. Pure and
// thread-safe; allocates nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "chat/answer.h"
#include "price/price.h"

namespace penstock::price {

// What a usage does not say of a call.
struct Extras {
  std::int64_t images = 0;  // made
  Service service = Service::standard;
};

// Micro-dollars of one call; std::numeric_limits<std::int64_t>::max() when it is more.
//
// Each token is priced once: of kinds that claim more tokens than there are, the dearer one gets its tokens first, and
// what no kind claims is plain input or output. Counts below 0 are 0. `cached` without a rate costs as input.
//
// Nothing when a figure that is needed is unknown: the usage itself (of a model sold by the token), the rate of a kind
// that occurs, or what the priority or fast service costs. Batch and flex are cheaper than the standard service, so
// that one of unknown price costs as standard.
std::optional<std::int64_t> cost(const Price& price, const chat::Usage& usage, const Extras& extras = {});

// What a call may use, for holding money before it runs.
struct Ask {
  std::int64_t input = 0;   // tokens, counted
  std::int64_t output = 0;  // tokens allowed
  // What may occur in it: false lowers the bound for callers that know better.
  bool cache_write = true;
  bool audio_input = true;
  bool audio_output = true;
  Extras extras = {};
};

// The most that such a call can cost: all input at the dearest rate of an input kind, all output at that of an output
// kind, in the dearest of the long-context tiers that the input may reach. Nothing when the rate of input or output is
// needed and unknown. A kind without a rate is left out of the bound; cost() says nothing of it either.
std::optional<std::int64_t> reserve_cost(const Price& price, const Ask& ask);

}  // namespace penstock::price
