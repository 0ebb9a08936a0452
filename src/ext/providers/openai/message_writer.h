// The conversation of a request as OpenAI's chat completions want it.
#pragma once

#include <vector>

#include "chat/content.h"
#include "chat/field.h"
#include "json/writer.h"

namespace penstock::ext {

// The list of messages. Every tool result becomes a message of its own right behind the calls; media in results, which
// tool messages cannot hold, come in a user's message behind them. `plain_roles`: developer messages go as system.
// Errors: invalid_argument for a user's message of which nothing can be carried.
Result<void> write_openai_messages(const std::vector<chat::Message>& messages, bool plain_roles, chat::Dropped& dropped,
                                   json::Writer& out);

}  // namespace penstock::ext
