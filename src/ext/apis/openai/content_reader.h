// The parts that messages of OpenAI's chat dialect are made of.
#pragma once

#include "chat/content.h"
#include "ext/apis/openai/object_reader.h"

namespace penstock::ext {

// `content` of a message or of a prediction: a string or a list of parts. Empty strings make no part.
std::vector<chat::Part> read_openai_content(OpenAiObject& owner, std::string_view name);

// The extension `cache_control` of parts, tools and messages, as Anthropic defines it: its time to live.
std::optional<std::string> read_openai_cache(OpenAiObject& owner);

}  // namespace penstock::ext
