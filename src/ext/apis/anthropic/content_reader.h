// Messages of Anthropic's dialect into canonical ones.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chat/content.h"
#include "json/place.h"

namespace penstock::ext::anthropic {

// Of `place`, a block, a tool or a request: its cache_control.
std::optional<std::string> read_cache_control(const json::Place& place);

// The system prompt, or the content of a system message: a string or a list of text blocks.
std::vector<chat::Part> read_instructions(const json::Place& content, std::vector<std::string>& unread);

// One message, which may be several: tool results are messages of their own.
void read_message(const json::Place& message, std::vector<chat::Message>& messages, std::vector<std::string>& unread);

}  // namespace penstock::ext::anthropic
