// The arguments of a call as OpenAI's dialects have them: the text of JSON.
#pragma once

#include <string>
#include <string_view>

namespace penstock::ext {

// What models write is not always a JSON object, which other providers count on: text that is none becomes
// {"input": TEXT}, and nothing becomes {}.
std::string read_call_arguments(std::string_view text);

}  // namespace penstock::ext
