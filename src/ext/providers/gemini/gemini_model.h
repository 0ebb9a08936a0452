// What differs between Gemini's models, as far as requests go, told from their names.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::ext {

struct GeminiModel {
  // From the third generation on: how much to think is a word, and calls must be sealed.
  bool third = false;
  bool media_in_results = true;  // of functions; older ones take media beside them only
  // Tokens of thought that it takes when it thinks.
  std::int64_t thought_least = 0;
  std::int64_t thought_most = 24'576;
  bool may_not_think = true;  // takes a budget of 0
  bool takes_minimal = true;  // as the word for hardly any thought
};

// `name` with or without "models/". Names that say nothing of a generation get what most models take.
GeminiModel gemini_model(std::string_view name);

}  // namespace penstock::ext
