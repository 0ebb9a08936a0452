// Whatever a body is, its history is read without harm, in every dialect; and what is left after a cut is the same
// document without the elements that were cut out.
#include <cstdlib>

#include "json/value.h"
#include "llm/trimming.h"

namespace {

using namespace penstock;

void expect(bool holds) {
  if (!holds) std::abort();
}

void cut(std::string_view body, const llm::History& history, std::int64_t excess) {
  auto trimming = llm::trim(history.entries, {.first = 1, .last = 2}, excess,
                            [](std::span<const std::uint32_t> places) { return std::ssize(places); });
  std::string left = llm::without(body, history, trimming.dropped);
  auto before = json::parse(body);
  if (!before) return;  // exponents of many digits: JSON, but too much for documents
  auto after = json::parse(left);
  expect(after.has_value());
  json::Array kept;
  const json::Array& list = before->get_object()[history.list].get_array();
  expect(list.size() == history.entries.size());
  for (std::uint32_t i = 0; i < list.size(); ++i) {
    if (!std::ranges::binary_search(trimming.dropped, i)) kept.push_back(list[i]);
  }
  before->get_object()[history.list] = std::move(kept);
  expect(*before == *after);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using chat::Family;
  using chat::Operation;
  std::string_view body(reinterpret_cast<const char*>(data), size);
  for (Family family : {Family::openai, Family::anthropic, Family::gemini, Family::ollama}) {
    for (Operation operation : {Operation::chat, Operation::responses}) {
      auto history = llm::read_history(family, operation, body);
      if (!history || history->entries.empty()) continue;
      expect(history->end <= size);
      for (const llm::Entry& entry : history->entries) expect(entry.begin < entry.end && entry.end <= history->end);
      for (std::int64_t excess : {0, 1, 3, 1000}) cut(body, *history, excess);
    }
  }
  return 0;
}
