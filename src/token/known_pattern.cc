#include "token/known_pattern.h"

#include <array>

#include "token/unicode.h"

namespace penstock::token {
namespace {

struct Entry {
  std::string_view regex;
  KnownPattern known;
};

// GPT-2; cl100k as tiktoken, Llama 3 and Qwen write it; o200k.
constexpr std::array kEntries{
    Entry{R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", {Pattern::r50k, 0}},
    Entry{R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", {Pattern::r50k, 0}},
    Entry{
        R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
        {Pattern::cl100k, 0}},
    Entry{
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        {Pattern::cl100k, 0}},
    Entry{
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        {Pattern::cl100k, 1}},
    Entry{
        R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        {Pattern::o200k, 0}},
};

}  // namespace

std::optional<KnownPattern> known_pattern(std::string_view regex) {
  for (const Entry& entry : kEntries) {
    if (entry.regex == regex) return entry.known;
  }
  return std::nullopt;
}

std::size_t end_of_number(std::string_view text, std::size_t begin, std::size_t end, unsigned most) {
  const char *at = text.data() + begin, *last = text.data() + end;
  for (unsigned taken = 0; taken < most && at != last; ++taken) {
    const char* next = at;
    if (!is_number(take_point(next, last))) break;
    at = next;
  }
  return static_cast<std::size_t>(at - text.data());
}

}  // namespace penstock::token
