// What stands beside the text of a candidate.
#pragma once

#include <vector>

#include "chat/content.h"

namespace penstock::ext {

// Of citationMetadata, and of groundingMetadata: what a search of Google's found. Places in the text are bytes there
// and stay unknown here.
std::vector<chat::Citation> read_citations(const json::Value& candidate);
// OpenAI's {"content": [...]} for logprobsResult; null when there is none.
json::Value read_logprobs(const json::Value& candidate);
// inlineData.
chat::Media read_media(const json::Value& data);

}  // namespace penstock::ext
