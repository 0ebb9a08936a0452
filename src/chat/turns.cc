#include "chat/turns.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace penstock::chat {
namespace {

bool is_empty(const Part& part) {
  const auto* text = std::get_if<Text>(&part.content);
  return text != nullptr && text->text.empty();
}

bool is_result(const Part* part) { return std::holds_alternative<ToolResult>(part->content); }

// FNV-1a with a starting point of its own for each half.
std::uint64_t hash(std::string_view text, std::uint64_t from) {
  for (char c : text) from = (from ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return (from ^ 0xff) * 0x100000001b3;
}

// The calls so far, and which of them still wait for a result. Every step costs no more than a look-up.
class CallBook {
 public:
  explicit CallBook(const std::vector<Message>& messages) {
    for (const Message& message : messages) {
      for (const Part& part : message.parts) {
        const auto* call = std::get_if<ToolCall>(&part.content);
        if (call != nullptr && !call->id.empty()) taken_.insert(call->id);
      }
    }
  }

  void add(ToolCall& call) {
    if (call.id.empty()) call.id = fresh_id();
    ++count_;
    Entry& entry = entries_.emplace_back(&call);
    waiting_.push_back(&entry);
    by_name_[call.name].push_back(&entry);
    SameId& same = by_id_[call.id];
    same.waiting.push_back(&entry);
    same.latest = &entry;
  }

  // The call that the result is of; null when there is none.
  ToolCall* take(const ToolResult& result) {
    Entry* found = result.id.empty() ? oldest_waiting(result.name) : latest_of(result.id);
    if (found == nullptr) return nullptr;
    found->answered = true;
    return found->call;
  }

 private:
  struct Entry {
    ToolCall* call;
    bool answered = false;
  };
  struct SameId {
    std::vector<Entry*> waiting;
    Entry* latest = nullptr;
  };

  std::string fresh_id() {
    std::string id;
    next_ = std::max(next_, count_);
    do {
      id = fmt::format("call_{}", next_++);
    } while (taken_.contains(id));
    return id;
  }

  Entry* oldest_waiting(std::string_view name) {
    std::deque<Entry*>* queue = &waiting_;
    if (!name.empty()) {
      auto named = by_name_.find(name);
      if (named == by_name_.end()) return nullptr;
      queue = &named->second;
    }
    while (!queue->empty() && queue->front()->answered) queue->pop_front();
    return queue->empty() ? nullptr : queue->front();
  }

  // Clients that number the calls of each turn anew mean the last ones.
  Entry* latest_of(std::string_view id) {
    auto found = by_id_.find(id);
    if (found == by_id_.end()) return nullptr;
    auto& waiting = found->second.waiting;
    while (!waiting.empty() && waiting.back()->answered) waiting.pop_back();
    return waiting.empty() ? found->second.latest : waiting.back();
  }

  std::set<std::string, std::less<>> taken_;  // ids that the client gave itself, in the whole conversation
  std::deque<Entry> entries_;
  std::deque<Entry*> waiting_;
  std::map<std::string_view, std::deque<Entry*>> by_name_;
  std::map<std::string_view, SameId> by_id_;
  std::size_t count_ = 0;
  std::size_t next_ = 0;
};

}  // namespace

Conversation alternate(const Request& request) {
  Conversation out;
  for (const Message& message : request.messages) {
    bool instructs = message.role == Role::system || message.role == Role::developer;
    bool assistant = message.role == Role::assistant;
    for (const Part& part : message.parts) {
      if (is_empty(part)) continue;
      if (instructs) {
        out.instructions.push_back(&part);
        continue;
      }
      if (out.turns.empty() || out.turns.back().assistant != assistant) out.turns.push_back({assistant, {}});
      out.turns.back().parts.push_back(&part);
    }
  }
  for (Turn& turn : out.turns) {
    std::vector<const Part*> results;
    std::vector<const Part*> others;
    std::ranges::partition_copy(turn.parts, std::back_inserter(results), std::back_inserter(others), is_result);
    results.insert(results.end(), others.begin(), others.end());
    turn.parts = std::move(results);
  }
  return out;
}

void tie_calls(std::vector<Message>& messages) {
  CallBook book(messages);
  for (Message& message : messages) {
    for (Part& part : message.parts) {
      if (auto* call = std::get_if<ToolCall>(&part.content)) book.add(*call);
      auto* result = std::get_if<ToolResult>(&part.content);
      ToolCall* call = result == nullptr ? nullptr : book.take(*result);
      if (call == nullptr) continue;
      result->id = call->id;
      result->name = call->name;
    }
  }
}

std::string make_call_id(std::string_view answer_id, int choice, int index, std::string_view name) {
  std::string all = fmt::format("{}\n{}\n{}\n{}", answer_id, choice, index, name);
  return fmt::format("call_{:016x}{:08x}", hash(all, 0xcbf29ce484222325), hash(all, 0x9e3779b97f4a7c15) & 0xffffffff);
}

}  // namespace penstock::chat
