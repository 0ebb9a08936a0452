// The tools of a request in OpenAI's chat dialect and which of them are to be used.
#pragma once

#include "chat/request.h"
#include "ext/apis/openai/object_reader.h"

namespace penstock::ext {

// tools, tool_choice, parallel_tool_calls, and the older functions and function_call. Tools that are no functions are
// unread.
void read_openai_tools(OpenAiObject& top, chat::Request& request);

}  // namespace penstock::ext
