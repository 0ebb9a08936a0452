// How much a caller's requests matter when not all can be served.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace penstock::flow {

enum class Priority : std::uint8_t { critical, high, normal, low };
constexpr std::size_t kPriorities = 4;
constexpr std::array<std::string_view, kPriorities> kPriorityNames{"critical", "high", "normal", "low"};

}  // namespace penstock::flow
