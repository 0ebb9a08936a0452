// The history that a request carries, as far as leaving out some of it needs to know: where each element of its list
// stands in the client's bytes, who speaks, and which tool calls and results belong together. Read straight from the
// bytes, for every dialect that has such a list. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/dialect.h"

namespace penstock::llm {

enum class Speaker : std::uint8_t { instruction, user, model, tool };

// One element of the list.
struct Entry {
  Speaker speaker = Speaker::user;
  bool words = false;  // the user says something in it, beside a tool's results perhaps
  std::vector<std::string> calls = {};
  std::vector<std::string> results = {};  // of these calls
  std::size_t begin = 0;                  // its bytes in the body: [begin, end)
  std::size_t end = 0;
};

struct History {
  std::string_view list;  // the name of the member: messages, contents, input
  std::vector<Entry> entries;
  std::size_t end = 0;  // of the list in the body, behind its bracket and blanks
};

// The list of a call of this operation in this family's dialect. No entries when the dialect has no such list there, or
// the body has something else in its place. invalid_argument: the body is no JSON object, or has the list twice.
Result<History> read_history(chat::Family family, chat::Operation operation, std::string_view body);

// The body without these entries (ascending; never the last one): all other bytes stay as they are.
std::string without(std::string_view body, const History& history, std::span<const std::uint32_t> dropped);

}  // namespace penstock::llm
