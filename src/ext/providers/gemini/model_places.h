// Where the bodies of Gemini's API repeat the model's name that stands in the path.
#pragma once

#include <string_view>
#include <vector>

#include "chat/dialect.h"

namespace penstock::ext {

struct Place {
  std::size_t begin = 0;  // of the string with its quotes
  std::size_t end = 0;
};

// In their order. Nothing for a body that is no JSON object.
std::vector<Place> model_places(chat::Operation operation, std::string_view body);
// A body of embeddings that holds several requests.
bool is_batch(std::string_view body);

}  // namespace penstock::ext
