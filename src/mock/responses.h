// OpenAI's Responses API: /v1/responses and what lies under it. Responses are kept in memory.
#pragma once

#include "mock/conversation.h"
#include "mock/dialect.h"

namespace penstock::mock {

struct ResponsesRequest {
  json::Object body;  // as sent: a response repeats much of it
  std::string model;
  bool stream = false;
  bool store = true;
  bool background = false;
  bool summarize = false;  // thoughts are shown, in short
  bool encrypt = false;    // and handed out as bytes only the provider reads
  Prompt prompt;
  json::Array items;  // of this turn and, with previous_response_id, of those before
  std::vector<std::uint64_t> beginnings;
  std::vector<std::int64_t> tokens;  // of each item
};

std::expected<ResponsesRequest, Refusal> read_responses(std::string_view body, const DocumentShelf& shelf,
                                                        std::uint64_t seed);

Answered answer_responses(const Call& call, Shared& shared);

}  // namespace penstock::mock
