// Embeddings in no dialect.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chat/answer.h"

namespace penstock::chat {

struct EmbeddingsRequest {
  std::string model;
  std::vector<std::string> texts;                 // these, or
  std::vector<std::vector<std::int64_t>> tokens;  // token numbers, which only OpenAI's dialect knows
  bool single = false;                            // one input, written without a list
  std::optional<std::int64_t> dimensions;
  bool base64 = false;  // the client wants little-endian floats in base64 instead of numbers
  std::string user;
  std::string task;   // Gemini's taskType
  std::string title;  // Gemini's
  std::vector<std::string> unread;
};

struct EmbeddingsAnswer {
  std::string model;
  std::vector<std::vector<float>> vectors;  // in the order of the inputs
  Usage usage;
};

}  // namespace penstock::chat
