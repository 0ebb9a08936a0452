// Prices as JSON.
#pragma once

#include "json/value.h"
#include "price/catalog.h"

namespace penstock::app {

// As the shape Price of the admin API says.
json::Object describe(const price::Entry& entry, base::WallMicros now);

}  // namespace penstock::app
