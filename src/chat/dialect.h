// The wire dialects of language model APIs, by family and operation.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::chat {

enum class Family : std::uint8_t { openai, anthropic, gemini, ollama };
// What is asked for. `completions` is the prompt-to-text API of a family (OpenAI's completions, Ollama's generate);
// `responses` is OpenAI's.
enum class Operation : std::uint8_t { chat, completions, responses, embeddings, count_tokens };

constexpr std::size_t kFamilies = 4;
constexpr std::size_t kOperations = 5;

std::string_view to_string(Family family);
std::string_view to_string(Operation operation);

}  // namespace penstock::chat
