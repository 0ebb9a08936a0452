// The version of this program.
#pragma once

#include <string_view>

namespace penstock::base {

constexpr std::string_view kVersion = "0.1.0";

}  // namespace penstock::base
