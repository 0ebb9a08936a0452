// A whole body in a content coding, at levels that cost a gateway little: gzip and deflate 1, br 4, zstd 3.
#pragma once

#include <string>
#include <string_view>

#include "codec/coding.h"

namespace penstock::codec {

// Errors: unimplemented (identity), out_of_range (more than 1 GiB), internal (no memory).
Result<std::string> encode_body(Coding coding, std::string_view body);

}  // namespace penstock::codec
