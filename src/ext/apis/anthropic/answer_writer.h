// Answers, usage and errors in Anthropic's words.
#pragma once

#include <string>
#include <string_view>

#include "chat/answer.h"
#include "chat/request.h"

namespace penstock::ext::anthropic {

std::string write_message(const chat::Request& request, const chat::Answer& answer);

// {"input_tokens": ...}: without what came from the cache or went there, which Anthropic counts apart.
// `tier` is the canonical word for the one that served.
void append_usage(std::string& out, const chat::Usage& usage, std::string_view tier = {});
// The id of an answer: as it came when it is one of this dialect, else made into one.
std::string message_id(std::string_view id, const chat::Request& request);
// One citation; nothing when the dialect has no kind for it.
bool append_citation(std::string& out, const chat::Citation& citation);
// {"type":"error", ...}
std::string write_error_body(std::string_view type, std::string_view message, std::string_view request_id = {});
// The type that belongs to a status.
std::string_view error_type_of(int status);

}  // namespace penstock::ext::anthropic
