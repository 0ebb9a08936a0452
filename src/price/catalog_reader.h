// Catalog files: vendor, model, price.
#pragma once

#include "config/document.h"
#include "price/catalog.h"

namespace penstock::price {

// Adds what stands in `root`: { as_of: day, vendor: { model: price, ... }, ... }. `as_of` is that of all prices that
// have none of their own. Mistakes are reported on the nodes.
void read_vendors(const config::Node& root, PriceTable& table, Source source);

}  // namespace penstock::price
