// Answers, events, usage and errors of Anthropic's Messages API.
#pragma once

#include <string>
#include <string_view>

#include "chat/answer.h"
#include "json/value.h"

namespace penstock::ext::anthropic {

// Counts of a "usage" object, as canonical usage: the input includes what came from the cache and went there. `usage`
// keeps what the object does not say.
void read_usage(const json::Value& reported, chat::Usage& usage);
// A citation of the text from `begin` to `end`.
chat::Citation read_citation(const json::Value& citation, std::int64_t begin, std::int64_t end);
// Canonical word for the service tier that served; empty for what nobody else has.
std::string_view read_service_tier(const json::Value& usage);
// Why the provider stopped, in words, when it refused.
std::string_view refusal_of(const json::Value& message);
// The calls that are answers (see answer_tool()) do not count as calls.
chat::Finish read_stop_reason(std::string_view word, bool calls);
// `tool`: see answer_tool().
Result<chat::Answer> read_message(std::string_view body, std::string_view tool);
// {"type": "error", "error": {...}}; an empty message when it is something else.
chat::ProviderError read_messages_error(int status, const json::Value& body);

// Unicode code points.
std::int64_t characters(std::string_view text);

}  // namespace penstock::ext::anthropic
