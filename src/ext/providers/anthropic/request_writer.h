// A canonical request in the words of Anthropic's Messages API.
#pragma once

#include <string>
#include <string_view>

#include "chat/field.h"
#include "chat/request.h"

namespace penstock::ext::anthropic {

struct MessagesOptions {
  // For requests that say nothing: the API demands a limit.
  std::int64_t max_tokens = 8192;
  // Structured output by a tool that the model must call, for models without output formats.
  bool format_by_tool = false;
  // Thinking as newer models take it: adaptive, with a word of effort instead of a number of tokens. They refuse
  // temperature, top_p and top_k.
  bool adaptive_thinking = false;
};

Result<std::string> write_messages_request(const chat::Request& request, std::string_view model,
                                           const MessagesOptions& options, chat::Dropped& dropped);
// The same for messages/count_tokens.
Result<std::string> write_count_request(const chat::Request& request, std::string_view model,
                                        const MessagesOptions& options);

// The name of the tool whose input is the answer; empty when the request is written without one.
std::string answer_tool(const chat::Request& request, const MessagesOptions& options);

}  // namespace penstock::ext::anthropic
