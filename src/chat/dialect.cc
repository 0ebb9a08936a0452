#include "chat/dialect.h"

namespace penstock::chat {

std::string_view to_string(Family family) {
  switch (family) {
    case Family::openai: return "openai";
    case Family::anthropic: return "anthropic";
    case Family::gemini: return "gemini";
    case Family::ollama: return "ollama";
  }
  return "openai";
}

std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::chat: return "chat";
    case Operation::completions: return "completions";
    case Operation::responses: return "responses";
    case Operation::embeddings: return "embeddings";
    case Operation::count_tokens: return "count_tokens";
  }
  return "chat";
}

}  // namespace penstock::chat
