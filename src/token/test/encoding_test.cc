#include "token/encoding.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "json/value.h"
#include "token/merge.h"
#include "token/models.h"
#include "token/test/tables.h"

namespace penstock::token {
namespace {

constexpr std::string_view kSpecial = "<|endoftext|>";

// The vectors of other tokenizers' own tests. Two want the special token behind their text: that is not for us.
TEST(Encoding, GivesThePublishedTokens) {
  auto lines = test::shared_lines("encode_vectors.jsonl");
  if (lines.empty()) GTEST_SKIP() << "the published vectors are not here; set PENSTOCK_SHARED";
  for (const std::string& line : lines) {
    json::Value one = *json::parse(line);
    std::string_view name = json::string_or(one, "encoding", ""), text = json::string_or(one, "text", "");
    PENSTOCK_NEED_ENCODING(ours, name);
    std::vector<std::uint32_t> wanted;
    for (const auto& token : one.at("tokens").as_array()) wanted.push_back(token.to_number<std::uint32_t>());
    if (json::find(one, "options") != nullptr) {
      ASSERT_TRUE(text.ends_with(kSpecial));
      text.remove_suffix(kSpecial.size());
      wanted.pop_back();
    }
    EXPECT_EQ(ours->encode(text), wanted) << name << ": " << text;
    EXPECT_EQ(ours->count(text), wanted.size()) << name << ": " << text;
  }
}

TEST(Encoding, SpecialTokensAreText) {
  PENSTOCK_NEED_ENCODING(ours, "o200k_base");
  EXPECT_EQ(ours->count(kSpecial), 7U);
}

// Words, blanks and symbols that make long and short pieces.
std::string draw_text(std::mt19937& random) {
  static const std::vector<std::string> kParts{"the", " of", "A",  "bc", "'s", "'LL", "42", "  ",   "\n", "\r\n\t",
                                               "=>",  "/",   "。", "中", "é",  "é",   "👍", "\xFF", "ſ"};
  std::string text;
  for (std::size_t i = random() % 60; i > 0; --i) {
    const std::string& part = kParts[random() % kParts.size()];
    for (std::size_t times = random() % 8 == 0 ? random() % 90 : 1; times > 0; --times) text += part;
  }
  return text;
}

TEST(Counter, CountsTheSameHoweverTheTextIsCut) {
  std::mt19937 random(11);
  for (std::string_view name : {"o200k_base", "cl100k_base", "r50k_base"}) {
    PENSTOCK_NEED_ENCODING(ours, name);
    Counter counter(*ours);
    for (int i = 0; i < 400; ++i) {
      std::string text = draw_text(random);
      std::size_t whole = ours->count(text);
      std::size_t largest = 1 + random() % 50;
      for (std::size_t at = 0; at < text.size();) {
        std::size_t size = 1 + random() % largest;
        counter.feed(std::string_view(text).substr(at, size));
        at += size;
        ASSERT_LE(counter.so_far(), whole) << text;
      }
      ASSERT_EQ(counter.finish(), whole) << text;
      ASSERT_EQ(ours->encode(text).size(), whole) << text;
    }
  }
}

// Each is one piece of 4 MB: counting it by looking at all pairs for each merge would take days.
TEST(Encoding, EndlessPiecesTakeTimeInProportion) {
  PENSTOCK_NEED_ENCODING(ours, "o200k_base");
  constexpr std::size_t kBytes = std::size_t{4} << 20;
  auto repeated = [](std::string_view part, std::size_t bytes = kBytes) {
    std::string text;
    while (text.size() < bytes) text += part;
    return text;
  };
  EXPECT_EQ(ours->count(repeated("a")), kBytes / 8);
  EXPECT_EQ(ours->count(repeated(" ")), kBytes / 128);
  EXPECT_EQ(ours->count(repeated("\U0001F44D")), kBytes / 4);
  for (std::string_view part : {"       \n", "ab", "中文", " \t\n", "=-=", "e\u0301", "\xFF"}) {
    std::string text = repeated(part, kBytes / 16);
    Counter counter(*ours);
    for (std::size_t at = 0; at < text.size(); at += 4096) counter.feed(std::string_view(text).substr(at, 4096));
    EXPECT_EQ(counter.finish(), ours->count(text)) << part;
  }
}

TEST(Merge, BothWaysAgree) {
  auto opened = Ranks::open(PENSTOCK_SHARE_DIR "/o200k_base.bpe", "o200k_base");
  if (!opened) GTEST_SKIP() << opened.error().detail;
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    std::string piece;
    std::size_t size = 1 + random() % kScannedMax;
    unsigned letters = 1 + random() % 26;
    for (std::size_t at = 0; at < size; ++at)
      piece += random() % 9 == 0 ? static_cast<char>(random()) : static_cast<char>('a' + random() % letters);
    ASSERT_EQ(count_scanned(*opened, piece), count_stepped(*opened, piece)) << piece;
  }
}

TEST(Encoding, ManyThreadsMayLoadAndCount) {
  setenv("PENSTOCK_SHARE", PENSTOCK_SHARE_DIR, 0);
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const Encoding* ours = Encoding::find("p50k_base");
      if (ours == nullptr || ours->count("hello world") == 2) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
}

TEST(Encoding, SaysWhyThereIsNone) {
  EXPECT_EQ(Encoding::load("klingon").error().code, Errc::invalid_argument);
  EXPECT_EQ(Encoding::find("klingon"), nullptr);
}

TEST(Models, KnowTheirEncoding) {
  for (std::string_view model : {"gpt-4o", "gpt-4o-mini-2024-07-18", "openai/gpt-4.1-nano", "gpt-5", "gpt-5.1", "o1",
                                 "o3-mini", "o4-mini", "chatgpt-4o-latest", "gpt-oss-120b", "ft:gpt-4o:acme::1",
                                 "openrouter/openai/gpt-4o", "openai.gpt-oss-20b-1:0"}) {
    EXPECT_EQ(encoding_name(model), "o200k_base") << model;
  }
  for (std::string_view model :
       {"gpt-4", "gpt-4-0613", "gpt-4-turbo", "gpt-3.5-turbo-16k", "gpt-35-turbo", "azure/gpt-35-turbo",
        "text-embedding-3-small", "text-embedding-ada-002", "ft:gpt-3.5-turbo:acme::1"}) {
    EXPECT_EQ(encoding_name(model), "cl100k_base") << model;
  }
  for (std::string_view model :
       {"", "claude-sonnet-4", "gemini-2.5-pro", "llama3", "o365", "gpt-40", "o", "my-gpt-4o"}) {
    EXPECT_EQ(encoding_name(model), "") << model;
  }
}

}  // namespace
}  // namespace penstock::token
