// Any bytes as a text, by small tokenizers of each kind: every token has a number below end_id(), and twice the same
// text gives twice the same tokens.
#include <array>
#include <cstdlib>

#include "token/tokenizer.h"

using namespace penstock::token;

namespace {

constexpr std::array<std::string_view, 3> kFiles{
    R"({"normalizer":{"type":"BertNormalizer","lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
        "added_tokens":[{"id":9,"content":"[X]","lstrip":true,"rstrip":true,"single_word":true}],
        "model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1,"##a":2,"##b":3,"the":4,"e":5}}})",
    R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Strip"},{"type":"Prepend","prepend":"_"}]},
        "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},
          {"type":"Punctuation","behavior":"MergedWithNext"},{"type":"Metaspace"}]},
        "model":{"type":"BPE","unk_token":"u","fuse_unk":true,"vocab":{"u":0,"a":1,"b":2,"aa":3,"ab":4,"aaaa":5},
          "merges":["a a",["a","b"],"aa aa"]}})",
    R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true,"use_regex":true},
        "model":{"type":"Unigram","unk_id":0,"vocab":[["u",0],["a",-1.5],["aa",-2],["b",-3]]}})"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array kTokenizers{Tokenizer::read(kFiles[0]).value(), Tokenizer::read(kFiles[1]).value(),
                                      Tokenizer::read(kFiles[2]).value()};
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& tokenizer : kTokenizers) {
    std::vector<std::uint32_t> once, twice;
    if (!tokenizer->encode(text, once) || !tokenizer->encode(text, twice) || once != twice) std::abort();
    for (std::uint32_t token : once) {
      if (token >= tokenizer->end_id()) std::abort();
    }
  }
  return 0;
}
