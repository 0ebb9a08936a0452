// What messages are made of, in no dialect: every dialect's messages can be read into these and written from them.
// Plain values; strings are UTF-8.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chat/dialect.h"
#include "json/value.h"

namespace penstock::chat {

// Where a piece of text comes from. What a dialect does not know of it stays empty.
struct Citation {
  std::string url = {};
  std::string title = {};
  std::string quote = {};   // the cited words
  std::int64_t begin = -1;  // where in the answer's text, in characters (Unicode code points); -1: not known
  std::int64_t end = -1;
  std::int64_t document = -1;  // index of the document of the request; -1: none
};

struct Text {
  std::string text;
  std::vector<Citation> citations = {};
};

// An image, a sound, a document: `data`, or `url`, or `file`, exactly one of them.
struct Media {
  enum class Kind : std::uint8_t { image, audio, document, video };
  Kind kind = Kind::image;
  std::string type = {};  // media type, image/png; empty: not known
  std::string data =
      {};                // base64 with padding (RFC 4648 section 4); for a document of type text/plain: the text itself
  std::string url = {};  // http or https
  std::string file = {};    // an identifier at the provider
  std::string name = {};    // file name or title
  std::string detail = {};  // OpenAI's image detail
};

// A seal of a provider's on what its model thought, to be given back byte by byte, and only to that family: nobody
// else can read it.
struct Signature {
  std::string bytes;
  Family family = Family::anthropic;
  bool empty() const { return bytes.empty(); }
};

// `redacted`: the provider shows no text; the signature holds all there is.
struct Thinking {
  std::string text;
  Signature signature = {};
  bool redacted = false;
};

// The model wants a tool to be used.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;     // the text of a JSON object, "{}" when there are none
  Signature signature = {};  // Gemini seals calls, too
};

struct ToolResult {
  std::string id;    // of the call
  std::string name;  // of the tool; filled in by tie_calls() where the dialect has none
  std::vector<std::variant<Text, Media>> content = {};
  bool error = false;
};

// The model declined, in words.
struct Refusal {
  std::string text;
};

struct Part {
  std::variant<Text, Media, Thinking, ToolCall, ToolResult, Refusal> content;
  // A cache breakpoint behind this part: the time to live, "5m" or "1h".
  std::optional<std::string> cache = std::nullopt;
};

// `tool` messages hold nothing but ToolResults; `system` and `developer` are instructions, wherever they stand.
enum class Role : std::uint8_t { system, developer, user, assistant, tool };

struct Message {
  Role role = Role::user;
  std::vector<Part> parts = {};
  std::string name = {};  // of the participant; OpenAI has it
};

}  // namespace penstock::chat
