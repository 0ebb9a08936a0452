#include "chat/turns.h"

#include <fmt/format.h>

#include <map>

namespace penstock::chat {
namespace {

bool is_empty(const Part& part) {
  const auto* text = std::get_if<Text>(&part.content);
  return text != nullptr && text->text.empty();
}

// FNV-1a with a starting point of its own for each half.
std::uint64_t hash(std::string_view text, std::uint64_t from) {
  for (char c : text) from = (from ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return (from ^ 0xff) * 0x100000001b3;
}

}  // namespace

Conversation alternate(const Request& request) {
  Conversation out;
  std::size_t results = 0;  // at the head of the last turn
  for (const Message& message : request.messages) {
    bool instructs = message.role == Role::system || message.role == Role::developer;
    bool assistant = message.role == Role::assistant;
    for (const Part& part : message.parts) {
      if (is_empty(part)) continue;
      if (instructs) {
        out.instructions.push_back(&part);
        continue;
      }
      if (out.turns.empty() || out.turns.back().assistant != assistant) {
        out.turns.push_back({assistant, {}});
        results = 0;
      }
      auto& parts = out.turns.back().parts;
      bool result = std::holds_alternative<ToolResult>(part.content);
      parts.insert(result ? parts.begin() + static_cast<std::ptrdiff_t>(results) : parts.end(), &part);
      if (result) ++results;
    }
  }
  return out;
}

void tie_calls(std::vector<Message>& messages) {
  struct Open {
    ToolCall* call;
    bool answered = false;
  };
  std::vector<Open> open;
  std::size_t count = 0;
  for (Message& message : messages) {
    for (Part& part : message.parts) {
      if (auto* call = std::get_if<ToolCall>(&part.content)) {
        if (call->id.empty()) call->id = fmt::format("call_{}", count);
        ++count;
        open.push_back({call});
      } else if (auto* result = std::get_if<ToolResult>(&part.content)) {
        for (Open& candidate : open) {
          bool same = result->id.empty()
                          ? !candidate.answered && (result->name.empty() || result->name == candidate.call->name)
                          : result->id == candidate.call->id;
          if (!same) continue;
          candidate.answered = true;
          result->id = candidate.call->id;
          result->name = candidate.call->name;
          break;
        }
      }
    }
  }
}

std::string make_call_id(std::string_view answer_id, int choice, int index, std::string_view name) {
  std::string all = fmt::format("{}\n{}\n{}\n{}", answer_id, choice, index, name);
  return fmt::format("call_{:016x}{:08x}", hash(all, 0xcbf29ce484222325), hash(all, 0x9e3779b97f4a7c15) & 0xffffffff);
}

}  // namespace penstock::chat
