// The content of the items of a Responses request.
#pragma once

#include <vector>

#include "chat/content.h"
#include "ext/apis/openai/object_reader.h"

namespace penstock::ext {

// A string or a list of input_text, output_text, refusal, input_image, input_file and input_audio. Parts of other types
// are unread.
std::vector<chat::Part> read_responses_content(OpenAiObject& owner, std::string_view name);

}  // namespace penstock::ext
