// /v1/embeddings: each word (or token number) has a vector, a text is the normalised sum of its words'.
#pragma once

#include <string>
#include <string_view>

#include "mock/completion.h"

namespace penstock::mock {

// Of length one.
std::vector<float> embed_text(std::string_view text, std::size_t dimensions, std::uint64_t seed);

// The answer's body. `body` as in complete_chat(). `model` receives the requested model's name.
std::expected<std::string, Refusal> embed(std::string_view body, const Options& options, bool usage,
                                          std::string& model);

}  // namespace penstock::mock
