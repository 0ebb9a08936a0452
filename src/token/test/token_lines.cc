// Answers lines of JSON, one each, for tests that hold other tokenizers against ours:
//   {"encoding": NAME, "text": TEXT}     the tokens, a list
//   {"model": NAME, "chat": {...}}       how many tokens the chat is
// Checks on the way that counting says the same as encoding, whole and in parts; ends with 1 when not.
#include <fmt/format.h>

#include <iostream>
#include <random>

#include "json/value.h"
#include "token/encoding.h"
#include "token/models.h"
#include "token/openai_chat.h"

namespace {

using namespace penstock;

std::size_t count_in_parts(const token::Encoding& encoding, std::string_view text, std::minstd_rand& random) {
  token::Counter counter(encoding);
  while (!text.empty()) {
    std::size_t size = std::min<std::size_t>(1 + random() % 40, text.size());
    counter.feed(text.substr(0, size));
    text.remove_prefix(size);
  }
  return counter.finish();
}

bool answer(const json::Value& asked, std::minstd_rand& random) {
  std::string_view model = json::string_or(asked, "model", "");
  const auto& encoding =
      token::Encoding::load(model.empty() ? json::string_or(asked, "encoding", "") : token::encoding_name(model));
  if (!encoding) {
    fmt::print(stderr, "{}\n", encoding.error().detail);
    return false;
  }
  if (const json::Value* chat = json::find(asked, "chat")) {
    auto count = token::count_openai_chat(json::dump(*chat), **encoding, model);
    fmt::print("{}\n", count.value_or(-1));
    return true;
  }
  std::string_view text = json::string_or(asked, "text", "");
  auto tokens = (*encoding)->encode(text);
  if ((*encoding)->count(text) != tokens.size() || count_in_parts(**encoding, text, random) != tokens.size()) {
    fmt::print(stderr, "counts differ for {}\n", json::dump(asked));
    return false;
  }
  fmt::print("[{}]\n", fmt::join(tokens, ","));
  return true;
}

}  // namespace

int main() {
  std::minstd_rand random(1);
  for (std::string line; std::getline(std::cin, line);) {
    auto asked = penstock::json::parse(line);
    if (!asked || !answer(*asked, random)) return 1;
  }
  return 0;
}
