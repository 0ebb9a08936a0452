// How two JSON documents differ, for people.
#pragma once

#include <string>
#include <string_view>

#include "json/value.h"

namespace penstock::golden {

// One line per difference: "messages[1].content: is "a", should be "b"". Empty when they are equal. 1 and 1.0 are; so
// are fractions that differ by less than a float can tell.
std::string differences(const json::Value& is, const json::Value& should);

// Of two texts of JSON; a text that is none is a difference itself.
std::string text_differences(std::string_view is, std::string_view should);

}  // namespace penstock::golden
