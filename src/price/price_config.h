// Prices out of YAML: of a route, of `prices.models`, of a catalog file.
#pragma once

#include "config/document.h"
#include "price/price.h"

namespace penstock::price {

// { input: 2.50USD/1M, cached: 1.25USD/1M, output: 10USD/1M, context: 128000, output_max: 16384, as_of: 2026-01-31,
//   long_context: { above: 200000, input: 5USD/1M, output: 15USD/1M }, priority: 170%, ... }
// A model sold by the token names input and output; one that makes nothing but vectors says `output: 0USD/1M`. Mistakes
// are reported on the node, and what was read without them is returned.
Price parse_price(const config::Node& node);

// The same, or several of them with `from: 2026-01-31` (00:00 UTC) in ascending order, or the word `unknown`: none.
std::vector<Price> parse_prices(const config::Node& node);
// Reads one price out of a mapping that has other keys as well; the caller ends it with done().
Price parse_price(config::Map& map);

}  // namespace penstock::price
