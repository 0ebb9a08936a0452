// Answers lines of JSON, one each, for tests that hold the tokenizers library against ours:
//   {"file": PATH}    how many tokens that tokenizer.json has; or a line of text why it cannot be used
//   {"text": TEXT}    the tokens by the last file, with those around them, a list; null for a text that is refused
//   {"bytes": TEXT, "times": N}    nanoseconds for N times that text
#include <fmt/format.h>

#include <chrono>
#include <iostream>

#include "json/value.h"
#include "token/tokenizer.h"

namespace {

using namespace penstock;

std::shared_ptr<const token::Tokenizer> tokenizer;

void load(std::string_view path) {
  auto loaded = token::Tokenizer::load(std::string(path));
  if (!loaded) {
    fmt::print("{}\n", loaded.error().detail);
    return;
  }
  tokenizer = *loaded;
  fmt::print("{}\n", tokenizer->end_id());
}

void encode(std::string_view text) {
  std::vector<std::uint32_t> tokens;
  for (const auto& special : tokenizer->frame().before) tokens.push_back(special.id);
  if (!tokenizer->encode(text, tokens)) {
    fmt::print("null\n");
    return;
  }
  for (const auto& special : tokenizer->frame().after) tokens.push_back(special.id);
  fmt::print("[{}]\n", fmt::join(tokens, ","));
}

void measure(std::string_view text, std::int64_t times) {
  std::vector<std::uint32_t> tokens;
  auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < times; ++i) {
    tokens.clear();
    (void)tokenizer->encode(text, tokens);
  }
  fmt::print("{}\n", (std::chrono::steady_clock::now() - begin).count());
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    auto asked = json::parse(line);
    if (!asked) return 1;
    if (const json::Value* file = json::find(*asked, "file")) {
      load(file->get_string().c_str());
    } else if (tokenizer == nullptr) {
      return 1;
    } else if (json::find(*asked, "times") != nullptr) {
      measure(json::string_or(*asked, "bytes", ""), json::int_or(*asked, "times", 1));
    } else {
      encode(json::string_or(*asked, "text", ""));
    }
    std::cout.flush();
    std::fflush(stdout);
  }
  return 0;
}
