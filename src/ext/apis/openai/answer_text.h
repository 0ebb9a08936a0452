// The pieces that whole answers and streams of OpenAI's chat and completions dialects have in common.
#pragma once

#include <string>

#include "chat/request.h"
#include "chat/stream.h"
#include "json/writer.h"

namespace penstock::ext {

// {"prompt_tokens": ..., ...}
void write_openai_usage(json::Writer& out, const chat::Usage& usage);

// The provider's id, else one made of the request's.
std::string openai_answer_id(std::string_view answer_id, const chat::Request& request, std::string_view prefix);

// "stop", or null when nobody said why.
void write_openai_finish(json::Writer& out, chat::Finish finish);

// A thought that can be given back as it came: {"type": "thinking", ...}.
void write_openai_thinking(json::Writer& out, std::string_view text, const chat::Signature& signature, bool redacted);

// {"type": "url_citation", ...}; `text_end` counts the characters of the answer so far, for citations that do not say
// where they belong. Citations without a URL have no form here.
void write_openai_citation(json::Writer& out, const chat::Citation& citation, std::int64_t text_end);

// Images as {"type": "image_url", ...}.
void write_openai_image(json::Writer& out, const chat::Media& media);

// The member "audio" of a message. Recordings have an id, by which OpenAI's own models find them again, and the time
// when they are forgotten: nobody else keeps any, so that this one is.
void write_openai_audio(json::Writer& out, const chat::Media& audio, std::string_view answer_id);

// The seal of a call: Google's extension of this dialect.
void write_openai_signature(json::Writer& out, const chat::Signature& signature);

// In characters (Unicode code points).
std::int64_t count_openai_characters(std::string_view text);

// The completions API has lists side by side where the chat API has a list of objects. `offset` is where the text of
// these tokens begins in the answer, in characters.
void write_openai_completion_logprobs(json::Writer& out, const json::Value& logprobs, std::int64_t offset);

}  // namespace penstock::ext
