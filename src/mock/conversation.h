// What is asked and what is answered, whatever dialect says it: the dialects read a Prompt out of their bodies and
// write a Reply in their own words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"
#include "mock/text.h"
#include "mock/traits.h"

namespace penstock::mock {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON, an object
};

// A function the model may call.
struct Tool {
  std::string name;
  json::Value parameters;  // a JSON schema; null for none
};

enum class Choose { automatic, none, required };

struct Prompt {
  std::string text;                      // the last user's words; empty when tool results came last
  std::vector<std::string> attachments;  // of the last user's turn: "[image image/png 68 bytes]"
  std::vector<std::string> results;      // of tools, when they came last
  std::vector<Tool> tools;
  Choose choose = Choose::automatic;
  std::string forced;    // the only tool to call
  bool parallel = true;  // more than one call at once
  bool think = false;
  enum class Format { text, object, schema };
  Format format = Format::text;
  json::Value schema;
  std::vector<std::string> stops;
  std::size_t tokens_max = SIZE_MAX;
};

struct Reply {
  Text thoughts;
  Text content;
  std::vector<ToolCall> calls;
  enum class Finish { stop, stop_string, length, calls, refusal, filter };
  Finish finish = Finish::stop;
  std::string stop_string;      // the one that was met
  std::int64_t tokens() const;  // of content and calls
  std::int64_t thought_tokens() const { return static_cast<std::int64_t>(thoughts.ends.size()); }
};

// Four bytes of prompt per token, and 3 for the frame.
std::int64_t estimate_tokens(std::string_view prompt);

// `seed` decides words and call ids. The arguments of a call depend on the mock's own seed, the tool's name and its
// schema: the same in every dialect.
Reply reply_to(const Prompt& prompt, const Traits& traits, const Options& options, std::uint64_t seed);

// How attachments are told apart in the answer: "[image image/png 68 bytes]", "[image url https://...]".
std::string describe_bytes(std::string_view kind, std::string_view type, std::string_view base64);
// A URL, or what a data: URL holds.
std::string describe_link(std::string_view kind, std::string_view url);
std::string describe_url(std::string_view kind, std::string_view url);

}  // namespace penstock::mock
