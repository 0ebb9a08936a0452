// The conversation of a request in OpenAI's chat dialect.
#pragma once

#include "chat/request.h"
#include "ext/apis/openai/object_reader.h"

namespace penstock::ext {

// `messages` of every role, with the extensions by which gateways let thoughts and their signatures come back. Calls
// of custom tools and their results are unread.
void read_openai_messages(OpenAiObject& top, std::vector<chat::Message>& messages);

}  // namespace penstock::ext
