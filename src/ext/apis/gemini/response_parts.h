// The pieces that Gemini's answers are made of, as JSON text that is appended: for whole answers and streams alike.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chat/answer.h"
#include "chat/request.h"

namespace penstock::ext {

// The reason of a candidate that wanted a function and said it in no JSON.
constexpr std::string_view kMalformed = "MALFORMED_FUNCTION_CALL";

void append_text_part(std::string& out, std::string_view text);
// `redacted`: the signature is all there is.
void append_thought_part(std::string& out, std::string_view text, const chat::Signature& signature,
                         bool redacted = false);
void append_media_part(std::string& out, const chat::Media& media);
// `args` is JSON text in one line.
void append_call_part(std::string& out, std::string_view id, std::string_view name, std::string_view args,
                      const chat::Signature& signature);
// Arguments as JSON text in one line; nothing when they are no JSON object. Empty ones are {}.
std::optional<std::string> read_arguments(std::string_view arguments);
// Of arguments that come in fragments: whether it is worth while to read them before the last one.
bool may_be_complete(std::string_view arguments);

// Appends one citation source to a list of them. `said` is the candidate's text so far, of which the citation's places
// count the characters.
void append_citation(std::string& list, const chat::Citation& citation, std::string_view said);
// What follows a candidate's content: reason (unless empty), index, citations.
void append_end(std::string& out, std::string_view reason, int index, std::string_view citations);
// "usageMetadata" with a comma before it; nothing when nobody knows.
void append_usage(std::string& out, const chat::Usage& usage);
// logprobsResult for OpenAI's; empty when there are none.
std::string logprobs_result(const json::Value& logprobs);
// modelVersion and responseId with a comma before each.
std::string head_fields(const chat::Request& request, std::string_view id, std::string_view model);

}  // namespace penstock::ext
