// Who sells the models behind an address.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::price {

// The vendor of the catalog whose API answers at `host` (of a provider's base_url, without port); empty for a host that
// is not known, so that a self-hosted model never takes a cloud's price for its name. The dialect that is spoken there
// says nothing: many vendors speak that of OpenAI.
std::string_view vendor_of_host(std::string_view host);

// The name without the date that a vendor appends to fixed versions: "gpt-4o-2024-08-06" of openai and azure,
// "claude-sonnet-4-5-20250929" of anthropic. Empty when the vendor has no such rule or the name no such end.
std::string_view undated(std::string_view vendor, std::string_view model);

}  // namespace penstock::price
