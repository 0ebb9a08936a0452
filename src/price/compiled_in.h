// The catalog that is compiled in (catalog.yaml), read vendor by vendor when somebody asks: most gateways use two or
// three of them. Thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "price/catalog.h"

namespace penstock::price {

extern const std::string_view kCatalogText;

// Null when there is no such vendor.
const PriceTable* compiled_in(std::string_view vendor);
const std::vector<std::string_view>& compiled_in_vendors();

}  // namespace penstock::price
