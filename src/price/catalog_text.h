// The catalog that is compiled in: the text of catalog.yaml.
#pragma once

#include <string_view>

namespace penstock::price {

extern const std::string_view kCatalogText;

}  // namespace penstock::price
