// A whole body in a content coding, at levels that cost a gateway little: gzip 1, br 4, zstd 3.
#pragma once

#include <string>
#include <string_view>

#include "codec/coding.h"

namespace penstock::codec {

// Takes gzip, br and zstd. Errors: unimplemented (another coding), internal (no memory).
Result<std::string> encode_body(Coding coding, std::string_view body);

}  // namespace penstock::codec
