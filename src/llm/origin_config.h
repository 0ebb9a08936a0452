// The keys that every provider of this kind has: where it is and how to treat it.
#pragma once

#include <memory>
#include <string>

#include "config/document.h"
#include "http/origin.h"

namespace penstock::llm {

// Reads base_url, connect_timeout, tls, connections, outlier and health of the provider `name`; mistakes are reported
// on the map and give null. An origin that an earlier configuration had in the same words is given again, with its
// connections and its health.
std::shared_ptr<const http::Origin> read_origin(const std::string& name, config::Map& map,
                                                std::string_view default_base_url);

}  // namespace penstock::llm
