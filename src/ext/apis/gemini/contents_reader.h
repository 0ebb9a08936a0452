// Gemini's contents: what was said so far.
#pragma once

#include "chat/request.h"
#include "ext/apis/gemini/members.h"

namespace penstock::ext {

// One content ({"role", "parts"}) becomes one message, or several where results of functions stand among other parts.
void read_content(Reading& reading, const json::Value& content, const std::string& path,
                  std::vector<chat::Message>& messages);
// systemInstruction: a content, or only its text.
void read_instruction(Reading& reading, const json::Value& instruction, const std::string& path,
                      std::vector<chat::Message>& messages);

}  // namespace penstock::ext
