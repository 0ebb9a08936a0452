// CRC-32C (Castagnoli), as of RFC 3720 appendix B.4: by the processor's instruction where it has one.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::spool {

// `before` is the result for what stands in front of `bytes`.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);
// The same without the processor's help.
std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t before = 0);

}  // namespace penstock::spool
