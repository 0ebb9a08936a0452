// Conversations as providers that are strict about turns want them, and the ends of tool calls tied together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/request.h"

namespace penstock::chat {

struct Turn {
  bool assistant = false;
  std::vector<const Part*> parts;  // of the request
};

struct Conversation {
  std::vector<const Part*> instructions;  // of all system and developer messages, in their order
  std::vector<Turn> turns;                // strictly alternating, none empty
};

// Messages of one side are merged into one turn; in the user's turns the tool results come first. Empty texts are left
// out. The request must outlive the result.
Conversation alternate(const Request& request);

// Gives every call without an id one that no other call has and that is the same for the same conversation, ties
// results without an id to calls of their name (or, without a name, in order), and gives every result the name of its
// call. Where several calls have one id, a result belongs to the last of them that has none yet. For the readers of
// dialects that leave these out.
void tie_calls(std::vector<Message>& messages);

// An id for the call `index` of an answer of a provider that gives none: "call_" and 24 hexadecimal digits that depend
// on all of the arguments, always the same for the same ones.
std::string make_call_id(std::string_view answer_id, int choice, int index, std::string_view name);

}  // namespace penstock::chat
