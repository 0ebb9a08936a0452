// Content codings by name: what a body was coded with, and what an answer may be coded with.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::codec {

enum class Coding : std::uint8_t { identity, gzip, deflate, br, zstd };

std::string_view name_of(Coding coding);

// What bodies may arrive in, as an Accept-Encoding field says it.
inline constexpr std::string_view kAccepted = "gzip, deflate, br, zstd";
// More layers than this help nobody but somebody who builds a bomb.
inline constexpr std::size_t kCodingsMax = 2;

// The value of a Content-Encoding field: codings in the order they were applied, `identity` left out. `x-gzip` is gzip
// (RFC 9110 section 8.4.1.3). Errors: unimplemented (a coding we do not know, or more than kCodingsMax of them).
Result<std::vector<Coding>> parse_content_encoding(std::string_view value);

// RFC 9110 section 12.5.3: the best of `offered` that the Accept-Encoding value allows. A higher weight wins; among
// equals the order of `offered`. identity when nothing fits or identity is wanted more. Malformed entries count as
// absent.
Coding negotiate(std::string_view accept_encoding, std::span<const Coding> offered);

}  // namespace penstock::codec
