#include "token/tokenizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "chat/base64.h"
#include "json/value.h"
#include "token/byte_pair.h"
#include "token/unicode.h"

namespace penstock::token {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kFolder = PENSTOCK_SOURCE_DIR "/tests/models/tokenizers/";

std::string read_file(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

std::vector<std::uint32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::uint32_t> tokens;
  for (const auto& special : tokenizer.frame().before) tokens.push_back(special.id);
  EXPECT_TRUE(tokenizer.encode(text, tokens));
  for (const auto& special : tokenizer.frame().after) tokens.push_back(special.id);
  return tokens;
}

// cases.json is what the tokenizers library says (tests/models/make_tokenizers.py).
TEST(Tokenizer, GivesTheLibrarysTokens) {
  auto cases = json::parse(read_file(kFolder + "cases.json"));
  ASSERT_TRUE(cases);
  std::map<std::string, std::shared_ptr<const Tokenizer>> tokenizers;
  for (const json::Value& one : cases->get_array()) {
    std::string file(json::string_or(one, "file", ""));
    if (!tokenizers[file]) tokenizers[file] = Tokenizer::load(kFolder + file).value();
    std::vector<std::uint32_t> wanted;
    for (const json::Value& id : json::find(one, "ids")->get_array())
      wanted.push_back(static_cast<std::uint32_t>(id.get_int64()));
    std::string text(json::string_or(one, "text", ""));
    EXPECT_EQ(encode(*tokenizers[file], text), wanted) << file << ": " << text;
  }
  EXPECT_EQ(tokenizers.size(), 6);
}

constexpr std::string_view kSmall =
    R"({"model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"pump":1,"##s":2,"[X]":3}},)"
    R"("pre_tokenizer":{"type":"Whitespace"},"added_tokens":[{"id":3,"content":"[X]","special":true}]})";

TEST(Tokenizer, FindsAddedTokensBeforeAnythingElse) {
  auto tokenizer = Tokenizer::read(kSmall);
  ASSERT_TRUE(tokenizer) << tokenizer.error().detail;
  EXPECT_THAT(encode(**tokenizer, "pumps[X]pump x"), ElementsAre(1, 2, 3, 1, 0));
  EXPECT_EQ((*tokenizer)->end_id(), 4);
}

TEST(Tokenizer, TakesBytesThatAreNoUtf8) {
  auto tokenizer = Tokenizer::read(kSmall).value();
  EXPECT_THAT(encode(*tokenizer, "pump \xFF\xFE pump\xC3"), ElementsAre(1, 0, 1, 0));
}

TEST(Tokenizer, RefusesTextsOverItsBound) {
  auto tokenizer = Tokenizer::read(kSmall).value();
  std::vector<std::uint32_t> tokens;
  auto encoded = tokenizer->encode(std::string(Tokenizer::kTextBytesMax + 1, 'a'), tokens);
  ASSERT_FALSE(encoded);
  EXPECT_EQ(encoded.error().code, Errc::out_of_range);
}

TEST(Tokenizer, RefusesTextsThatGrowTooLong) {
  std::string step = R"({"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})";
  std::string json = fmt::format(
      R"({{"model":{{"type":"WordPiece","vocab":{{"[UNK]":0}}}},"normalizer":{{"type":"Sequence","normalizers":[{0},{0},{0},{0},{0}]}}}})",
      step);
  auto tokenizer = Tokenizer::read(json);
  ASSERT_TRUE(tokenizer) << tokenizer.error().detail;
  std::vector<std::uint32_t> tokens;
  EXPECT_FALSE((*tokenizer)->encode(std::string(1000, 'a'), tokens));
}

struct Refusal {
  std::string_view json;
  std::string_view says;
};

TEST(Tokenizer, RefusesWhatItCannotDoByName) {
  constexpr std::array kRefusals{
      Refusal{"", "ends early"},
      Refusal{"[]", "object"},
      Refusal{R"({"model":{}})", "model.vocab"},
      Refusal{R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":-1}}})", "model.vocab"},
      Refusal{R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0,"[UNK]":1}}})", "twice"},
      Refusal{R"({"model":{"type":"WordPiece","vocab":{"[UNK]":4000000}}})", "2,000,000"},
      Refusal{R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}})", "model.merges[0]"},
      Refusal{R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}})", "model.dropout"},
      Refusal{R"({"model":{"type":"Unigram","vocab":[["a",-1]]}})", "model.unk_id"},
      Refusal{
          R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"normalizer":{"type":"Sequence","normalizers":[{"type":"Odd"}]}})",
          "normalizer.normalizers[0]: the normalizer 'Odd' is not supported"},
      Refusal{
          R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA"}})",
          "damaged"},
      Refusal{
          R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"post_processor":{"type":"TemplateProcessing","single":[]}})",
          "no place for the text"},
      Refusal{
          R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"}]}]}})",
          "more than one ByteLevel"},
      Refusal{
          R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"pre_tokenizer":{"type":"Metaspace","replacement":"    "}})",
          "one character"},
      Refusal{R"({"model":{"type":"WordPiece","vocab":{"[UNK]":0}},"added_tokens":[{"id":-1,"content":"x"}]})",
              "added_tokens[0]"},
  };
  for (const Refusal& refusal : kRefusals) {
    auto tokenizer = Tokenizer::read(refusal.json);
    ASSERT_FALSE(tokenizer) << refusal.json;
    EXPECT_THAT(tokenizer.error().detail, HasSubstr(refusal.says)) << refusal.json;
  }
}

// A table of replacements with one key, "a"; `value` is what stands for it.
std::string charsmap(std::string_view value) {
  constexpr std::uint32_t kA = 'a', kChild = kA ^ 1, kLeaf = 98;
  std::vector<std::uint32_t> units(kLeaf + 1);
  units[0] = 1U << 10;
  units[kChild] = kA | 1U << 8 | (kChild ^ kLeaf) << 10;
  units[kLeaf] = 1U << 31;
  std::string bytes(4, '\0');
  auto size = static_cast<std::uint32_t>(units.size() * 4);
  std::memcpy(bytes.data(), &size, 4);
  bytes.append(reinterpret_cast<const char*>(units.data()), size).append(value);
  return chat::write_base64(bytes);
}

Result<std::shared_ptr<const Tokenizer>> with_charsmap(std::string_view value) {
  return Tokenizer::read(fmt::format(
      R"({{"model":{{"type":"BPE","vocab":{{"b":0,"c":1}},"merges":[]}},"normalizer":{{"type":"Precompiled","precompiled_charsmap":"{}"}}}})",
      charsmap(value)));
}

TEST(Tokenizer, ReplacesWhatTheTableSays) {
  auto tokenizer = with_charsmap(std::string_view("bb\0", 3));
  ASSERT_TRUE(tokenizer) << tokenizer.error().detail;
  EXPECT_THAT(encode(**tokenizer, "ac"), ElementsAre(0, 0, 1));
}

TEST(Tokenizer, RefusesReplacementsThatAreNoUtf8) {
  for (std::string_view value : {std::string_view("\xFF\0", 2), std::string_view("b\xC3\0", 3)}) {
    auto tokenizer = with_charsmap(value);
    ASSERT_FALSE(tokenizer);
    EXPECT_THAT(tokenizer.error().detail, HasSubstr("no UTF-8"));
  }
}

// One reader's character, however long, is replaced point by point.
TEST(Tokenizer, RefusesReplacementsThatGrowTooLong) {
  auto tokenizer = with_charsmap(std::string(1 << 20, 'b') + '\0');
  ASSERT_TRUE(tokenizer);
  std::vector<std::uint32_t> tokens;
  EXPECT_FALSE((*tokenizer)->encode(std::string(100, 'a'), tokens));
}

TEST(BytePair, TakesBytesThatAreNoUtf8) {
  Vocabulary vocabulary;
  vocabulary.add("a", 0);
  vocabulary.add("\xFF", 1);
  BytePair model(std::move(vocabulary), MergeTable(0), {.unknown = 7});
  std::vector<std::uint32_t> tokens;
  model.encode("a\xFE\xFF\xC3", tokens);
  EXPECT_THAT(tokens, ElementsAre(0, 7, 1, 7));
}

TEST(Tokenizer, SaysWhichFileIsMissing) {
  auto tokenizer = Tokenizer::load(kFolder + "none.json");
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, Errc::not_found);
  EXPECT_THAT(tokenizer.error().detail, HasSubstr("none.json"));
}

TEST(Unicode, OrdersLongRunsOfMarks) {
  std::string text = "a";
  for (int i = 0; i < 20000; ++i) text += i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3";  // above, below
  std::string decomposed = normalized(text, Form::nfd);
  EXPECT_EQ(decomposed.size(), text.size());
  EXPECT_EQ(decomposed.substr(1, 4), "\xCC\xA3\xCC\xA3");
  EXPECT_EQ(decomposed.substr(decomposed.size() - 4), "\xCC\x81\xCC\x81");
}

TEST(Unicode, Composes) {
  EXPECT_EQ(normalized("e\xCC\x81", Form::nfc), "\xC3\xA9");
  EXPECT_EQ(normalized("\xC3\xA9", Form::nfd), "e\xCC\x81");
  EXPECT_EQ(normalized("\xEF\xAC\x81", Form::nfkc), "fi");
}

}  // namespace
}  // namespace penstock::token
