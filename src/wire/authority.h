// Request targets and the authorities in them (RFC 9112 section 3.2, RFC 3986 section 3.2).
#pragma once

#include <string_view>

namespace penstock::wire {

// host[:port] as Host and absolute targets give it: no user, no list, not empty, a port up to 65535.
bool is_authority(std::string_view text);

// Null when `target` has a form that `method` may use: a path, http(s)://authority[path], `*` with OPTIONS only, and a
// bare host:port with CONNECT only. `authority` is set for the forms that have one. Bytes are already known to be
// ones a target may have.
const char* target_defect(std::string_view method, std::string_view target, std::string_view& authority);

}  // namespace penstock::wire
