// Why an answer ended: the one table between the dialects' words, for plain answers and streams alike.
#pragma once

#include <cstdint>
#include <string_view>

#include "chat/dialect.h"

namespace penstock::chat {

enum class Finish : std::uint8_t {
  none,            // it did not end, or nobody said why
  stop,            // the model was done
  stop_sequence,   // it met one of the request's stop sequences
  length,          // the limit of output tokens
  context_length,  // the end of the context window
  tool_calls,      // it wants tools to be used
  content_filter,  // the provider cut or blocked it
  refusal,         // the model declined
  pause,           // the provider wants the turn to be continued
  error,           // the model or provider failed; never shown as a success
};

// The canonical reason for a provider's word; unknown words are `stop`, an empty one is `none`.
// An answer that holds tool calls ended for them, whatever its word, unless it was cut off.
Finish read_finish(Family family, std::string_view word, bool has_calls);
// A dialect's word for it. For OpenAI the chat word (Responses have a status instead). Empty for `none`.
std::string_view write_finish(Family family, Finish finish);

std::string_view to_string(Finish finish);

}  // namespace penstock::chat
