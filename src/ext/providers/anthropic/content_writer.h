// Turns of a conversation in Anthropic's content blocks.
#pragma once

#include <string>
#include <string_view>

#include "chat/field.h"
#include "chat/turns.h"

namespace penstock::ext::anthropic {

// The provider reads this thought: it made it itself and sealed it.
bool is_own_thought(const chat::Part& part);

// An id of a tool call as the provider takes it: letters, digits, _ and -.
std::string tool_use_id(std::string_view id);

// Appends the list of blocks; false when no block is left of the parts. `final` is the conversation's last turn.
bool write_blocks(std::string& out, const chat::Turn& turn, bool final, chat::Dropped& dropped);
// The system prompt's blocks.
void write_instructions(std::string& out, const std::vector<const chat::Part*>& parts, chat::Dropped& dropped);
void write_cache_control(std::string& out, const std::optional<std::string>& cache);

}  // namespace penstock::ext::anthropic
