// Any bytes, by each pattern, over a small table: counting whole, in parts and encoding must agree, and the tokens must
// spell the text.
#include <cstdlib>

#include "token/encoding.h"
#include "token/merge.h"
#include "token/test/published.h"

namespace {

using namespace penstock::token;

const std::string& table() {
  static const std::string kTable =
      *pack_ranks("small", test::published({"th", "he", "the", " t", " the", "aa", "aaaa", "  ", "    ", "\r\n",
                                            "\xC3\xA9", "in", "ing", "\xE4\xB8", "\xE4\xB8\xAD"}));
  return kTable;
}

void check(const Encoding& encoding, const Ranks& ranks, std::string_view text, std::size_t cut) {
  auto tokens = encoding.encode(text);
  std::string spelt;
  for (std::uint32_t token : tokens) spelt += ranks.bytes_of(token);
  Counter counter(encoding);
  counter.feed(text.substr(0, cut));
  counter.feed(text.substr(cut));
  if (spelt != text || encoding.count(text) != tokens.size() || counter.finish() != tokens.size()) std::abort();
  if (!text.empty() && text.size() <= kScannedMax && count_scanned(ranks, text) != count_stepped(ranks, text)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Ranks kRanks = *Ranks::read(table(), "small");
  static const Encoding kEncodings[] = {
      {"r50k", Pattern::r50k, kRanks}, {"cl100k", Pattern::cl100k, kRanks}, {"o200k", Pattern::o200k, kRanks}};
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const Encoding& encoding : kEncodings)
    check(encoding, kRanks, text, std::min<std::size_t>(data[0], text.size()));
  return 0;
}
