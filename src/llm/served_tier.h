// How fast or late an answer is to come, as far as that changes its price: what to reserve, and what to charge.
#pragma once

#include <string_view>

#include "llm/provider.h"
#include "price/cost.h"

namespace penstock::llm {

// The word with which an answer, or an event of its stream, names the tier that served it: `service_tier`, or
// Anthropic's `speed` when that is "fast"; at the top, or in the objects where the dialects have it. Points into
// `json`; empty when nothing says it.
std::string_view served_tier(std::string_view json);

// Whether prices or the request make it worth to look.
bool has_tiers(const Request& request, const price::Price* price);

// The dearest of what the request may be served as. Nothing: that has no price.
std::optional<std::int64_t> reserve_tiers(const price::Price& price, price::Ask ask, std::string_view asked);

// What to charge an answer as. `said`: by served_tier(). `native`: the target took the request as the client wrote it.
// Discounts are only for who surely had the slower service; nobody waits here for a batch.
price::Service charged_tier(const price::Price* price, std::string_view asked, std::string_view said, bool native);

}  // namespace penstock::llm
