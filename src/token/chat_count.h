// The input of a chat request in tokens: texts, what stands around them, functions, media.
//
// Exact for OpenAI's models as far as it is known how they are told: roles, names, texts, functions and calls, as its
// cookbook and the API's own counts show. Estimates within it: media (media_tokens.h), and the schema of a forced
// output format, which counts as its text.
#pragma once

#include "token/tally.h"

namespace penstock::token {

std::int64_t count(const chat::Request& request, const Encoding& encoding, std::string_view model);

// The same without an encoding: for Calibration.
InputSize measure(const chat::Request& request, std::string_view model);

// One message of it, as count() sees it: for who removes messages from a request. Add Tally::kPriming once.
std::int64_t count(const chat::Message& message, const Encoding& encoding, std::string_view model);

// Walks parts of a request into a tally, for who has them one by one. `tools`: the request has functions. `first`: no
// message of role system was before; the first one, if there are functions, ends in a line break.
void add_message(const chat::Message& message, bool tools, bool& first, Tally& tally);
// All but the messages. `instructed`: a message of role system is among them.
void add_settings(const chat::Request& request, bool instructed, Tally& tally);

}  // namespace penstock::token
