// Whose prices hold for a provider of the configuration.
#pragma once

#include <string>
#include <string_view>

#include "config/document.h"
#include "price/catalog.h"

namespace penstock::price {

// Reads `catalog: VENDOR` of a provider's mapping, or `catalog: none`; without it the vendor that is known to answer at
// `host`, the host of its base_url. Empty: none. A vendor that the catalog does not have is reported.
std::string read_vendor(config::Map& provider, std::string_view host, const Catalog& catalog);

}  // namespace penstock::price
