// The head of a request as HTTP/2 says it (RFC 9113 section 8.3), from the text of an HTTP/1.1 head.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/h2_session.h"

namespace penstock::http {

// `head` is the request line and the field lines, each with CRLF. Method, scheme, authority (from Host) and path come
// first, as pseudo-header fields; names are in lower case; what concerns one HTTP/1.1 connection is left out, and so
// are the fields that Connection names. Views into `head` and `names`, which must stay.
// Errors: invalid_argument (no request line or a line that is no field), out_of_range (over 60 KiB).
Result<std::vector<wire::H2Field>> h2_request_head(std::string_view head, std::string_view scheme, std::string& names);

}  // namespace penstock::http
