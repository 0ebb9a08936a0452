// What the mock needs of a dialect: its answers, its errors, where it keeps the key.
#pragma once

#include <string>
#include <string_view>

#include "mock/answer.h"
#include "mock/shared.h"

namespace penstock::mock {

// One request as its dialect reads it. Views live as long as the exchange.
struct Call {
  std::string_view method;
  std::string_view path;
  std::string_view query;
  const http::Request* request = nullptr;  // for its fields
  std::string_view body;
  bool usage = true;  // false: the answer says nothing of tokens
};

struct Dialect {
  std::string_view name;
  Answered (*answer)(const Call& call, Shared& shared);
  // The body of an error answer; and an event that stands for one in a stream, with its framing.
  std::string (*error)(const Refusal& refusal);
  std::string (*stream_error)(const Refusal& refusal, std::string_view content_type);
  // More lines of the head of an answer with this status.
  std::string (*fields)(int status);
  std::string (*key)(const http::Request& request);
};

// Whose path this is: OpenAI's when it is nobody's.
const Dialect& dialect_of(const http::Request& request);
// Null when there is none of this name.
const Dialect* dialect_named(std::string_view name);
// "openai, anthropic, gemini, ollama"
std::string dialect_names();

// The bearer token, else empty.
std::string bearer_key(const http::Request& request);

extern const Dialect kOpenAi;
extern const Dialect kAnthropic;
extern const Dialect kGemini;
extern const Dialect kOllama;

}  // namespace penstock::mock
