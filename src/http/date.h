// The value of the Date field (RFC 9110 section 5.6.7).
#pragma once

#include <string_view>

namespace penstock::http {

// Now; formatted once a second. Valid until the thread asks again.
std::string_view http_date();

}  // namespace penstock::http
