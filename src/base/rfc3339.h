// Times as people and programs write them: RFC 3339.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::base {

// "2027-01-31T00:00:00Z", with any number of digits of the second's fraction (those beyond microseconds are left out)
// and any offset ("+01:00"). A time without an offset is refused: it would mean something else on every machine.
// Errors: invalid_argument.
Result<WallMicros> parse_rfc3339(std::string_view text);

}  // namespace penstock::base
