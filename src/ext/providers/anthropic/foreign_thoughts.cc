#include "ext/providers/anthropic/foreign_thoughts.h"

#include <string.h>

#include <algorithm>

#include "json/value.h"

namespace penstock::ext::anthropic {
namespace {

constexpr std::string_view kMark = "penstock:";
constexpr std::string_view kSignature = "\"signature\"";

// Bodies are large: memmem() is several times as fast as std::string_view::find().
std::size_t find(std::string_view text, std::string_view what) {
  const void* at = ::memmem(text.data(), text.size(), what.data(), what.size());
  return at == nullptr ? std::string_view::npos : static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

bool holds_empty_signature(std::string_view body) {
  for (std::size_t at = find(body, kSignature); at != std::string_view::npos; at = find(body, kSignature)) {
    body.remove_prefix(at + kSignature.size());
    skip_blanks(body);
    if (!body.starts_with(':')) continue;
    body.remove_prefix(1);
    skip_blanks(body);
    if (body.starts_with("\"\"")) return true;
  }
  return false;
}

bool is_foreign(const json::Value& block) {
  std::string_view type = json::string_or(block, "type", "");
  std::string_view signature = json::string_or(block, "signature", "");
  if (type == "thinking") return signature.empty() || signature.starts_with(kMark);
  return type == "redacted_thinking" && json::string_or(block, "data", "").starts_with(kMark);
}

json::Array* blocks_of_model(json::Value& message) {
  if (json::string_or(message, "role", "") != "assistant") return nullptr;
  json::Value* content = message.get_object().if_contains("content");
  return content != nullptr && content->is_array() ? &content->get_array() : nullptr;
}

// Takes them out of all messages, and messages that are empty then; false when there were none.
bool erase_foreign(json::Array& messages) {
  bool erased = false;
  json::Array kept;
  for (json::Value& message : messages) {
    json::Array* blocks = blocks_of_model(message);
    if (blocks != nullptr && std::ranges::any_of(*blocks, is_foreign)) {
      erased = true;
      json::Array others;
      for (json::Value& block : *blocks) {
        if (!is_foreign(block)) others.push_back(std::move(block));
      }
      if (others.empty()) continue;
      *blocks = std::move(others);
    }
    kept.push_back(std::move(message));
  }
  messages = std::move(kept);
  return erased;
}

// The model's last turn used tools and does not begin with a thought.
bool lacks_thoughts(json::Array& messages) {
  for (std::size_t i = messages.size(); i-- > 0;) {
    if (json::string_or(messages[i], "role", "") != "assistant") continue;
    json::Array* blocks = blocks_of_model(messages[i]);
    if (blocks == nullptr || blocks->empty()) return false;
    bool calls = std::ranges::any_of(
        *blocks, [](const json::Value& block) { return json::string_or(block, "type", "") == "tool_use"; });
    return calls && !json::string_or(blocks->front(), "type", "").ends_with("thinking");
  }
  return false;
}

}  // namespace

std::optional<std::string> without_foreign_thoughts(std::string_view body, std::string_view model) {
  if (find(body, kMark) == std::string_view::npos && !holds_empty_signature(body)) return std::nullopt;
  auto document = json::parse(body);
  if (!document || !document->is_object()) return std::nullopt;
  json::Object& object = document->get_object();
  json::Value* messages = object.if_contains("messages");
  if (messages == nullptr || !messages->is_array() || !erase_foreign(messages->get_array())) return std::nullopt;
  const json::Value* thinking = object.if_contains("thinking");
  bool budgeted = thinking != nullptr && json::string_or(*thinking, "type", "") == "enabled";
  if (budgeted && lacks_thoughts(messages->get_array())) object.erase("thinking");
  object["model"] = model;
  return json::dump(object);
}

}  // namespace penstock::ext::anthropic
