// Cuts text into pieces by the patterns published with tiktoken (tiktoken_ext/openai_public.py). Tokens never reach
// across pieces. Written by hand: every alternative of a pattern is decided by looking ahead once. A byte that is no
// UTF-8 stands as one symbol of its own. Pure.
#pragma once

#include <cstdint>

namespace penstock::token {

enum class Pattern : std::uint8_t { r50k, cl100k, o200k };

// The end of the piece that begins at `at`, which is before `end`. Sets `open` when the piece might end elsewhere if
// text followed at `end`; leaves it otherwise.
using NextPiece = const char* (*)(const char* at, const char* end, bool& open);
NextPiece next_piece(Pattern pattern);

}  // namespace penstock::token
