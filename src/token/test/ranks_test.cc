#include "token/ranks.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "token/merge.h"
#include "token/test/published.h"

namespace penstock::token {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string packed() { return *pack_ranks("small", test::published({"th", "he", "the", " the", "aa", "aaaa"})); }

TEST(Ranks, FindsEachTokenByItsBytes) {
  std::string file = packed();
  Ranks ranks = *Ranks::read(file, "small");
  ASSERT_EQ(ranks.tokens(), 262U);
  for (std::uint32_t i = 0; i < ranks.tokens(); ++i) {
    std::string bytes(ranks.bytes_of(i));
    EXPECT_EQ(ranks.find(bytes.data(), bytes.size(), bytes.data() + bytes.size()), i);
    std::string longer = bytes + "12345678";
    EXPECT_EQ(ranks.find(longer.data(), bytes.size(), longer.data() + longer.size()), i) << "with text behind it";
  }
  std::string none = "thx";
  EXPECT_EQ(ranks.find(none.data(), 3, none.data() + 3), Ranks::kNone);
  std::string endless(1000, 'a');
  EXPECT_EQ(ranks.find(endless.data(), endless.size(), endless.data() + endless.size()), Ranks::kNone);
}

TEST(Ranks, KnowsHalvesAndPrefixes) {
  std::string file = packed(), text = " them";
  Ranks ranks = *Ranks::read(file, "small");
  const char* end = text.data() + text.size();
  EXPECT_EQ(ranks.longest(text.data(), end), 259U);
  EXPECT_EQ(ranks.longest(text.data() + 1, end), 258U);
  EXPECT_EQ(ranks.shorter(258, text.data() + 1, end), 256U);
  EXPECT_EQ(ranks.shorter(259, text.data(), end), static_cast<unsigned>(' '));
  EXPECT_EQ(ranks.shorter(' ', text.data(), end), Ranks::kNone);
  EXPECT_EQ(ranks.halves_of(258).left, 256U) << "th and e: the lower pair merged first";
  EXPECT_EQ(ranks.halves_of(258).right, static_cast<unsigned>('e'));
}

TEST(Ranks, MergesTheLowestPairFirst) {
  std::string file = packed();
  Ranks ranks = *Ranks::read(file, "small");
  auto encoded = [&](std::string_view piece) {
    std::vector<std::uint32_t> out;
    encode_merged(ranks, piece, out);
    EXPECT_EQ(count_scanned(ranks, piece), out.size()) << piece;
    EXPECT_EQ(count_stepped(ranks, piece), out.size()) << piece;
    return out;
  };
  EXPECT_THAT(encoded("thhe"), ElementsAre(256, 257));
  EXPECT_THAT(encoded("athe"), ElementsAre('a', 258));
  EXPECT_THAT(encoded("aaaaa"), ElementsAre(261, 'a'));
  EXPECT_THAT(encoded("aaaaaaa"), ElementsAre(261, 260, 'a'));
  EXPECT_THAT(encoded("xyz"), ElementsAre('x', 'y', 'z'));
}

TEST(Ranks, EveryDamageIsAnError) {
  std::string whole = packed();
  for (std::size_t i = 0; i < whole.size(); i += 1 + i / 64) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
    ASSERT_FALSE(Ranks::read(damaged, "small")) << "byte " << i;
    EXPECT_FALSE(Ranks::read(std::string_view(whole).substr(0, i), "small")) << "cut at " << i;
  }
  EXPECT_EQ(Ranks::read(whole + "x", "small").error().code, Errc::data_loss);
  EXPECT_EQ(Ranks::read(whole, "other").error().code, Errc::failed_precondition);
}

TEST(Ranks, OpensAFileAndSaysWhichOneIsWrong) {
  auto folder = std::filesystem::temp_directory_path() / ("penstock_ranks_" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  std::string path = folder / "small.bpe";
  EXPECT_EQ(Ranks::open(path, "small").error().code, Errc::not_found);
  std::ofstream(path, std::ios::binary) << packed();
  auto ranks = Ranks::open(path, "small");
  ASSERT_TRUE(ranks);
  EXPECT_EQ(ranks->bytes_of(258), "the");
  std::ofstream(path, std::ios::binary) << "nonsense";
  EXPECT_THAT(Ranks::open(path, "small").error().detail, HasSubstr("small.bpe"));
  EXPECT_EQ(Ranks::open(folder, "small").error().code, Errc::data_loss);
  std::filesystem::remove_all(folder);
}

TEST(PackRanks, RefusesWhatIsNoTableOfMerges) {
  EXPECT_THAT(pack_ranks("n", "YQ== 0\n").error().detail, HasSubstr("byte 0"));
  EXPECT_THAT(pack_ranks("n", "what is this").error().detail, HasSubstr("line 1"));
  EXPECT_THAT(pack_ranks("n", "YQ== 1\nYg== 1\n").error().detail, HasSubstr("line 2"));
  EXPECT_THAT(pack_ranks("n", test::published({"abc"})).error().detail, HasSubstr("256"));
  EXPECT_THAT(pack_ranks("n", test::published({"ab", "ab"})).error().detail, HasSubstr("twice"));
  EXPECT_FALSE(pack_ranks("n", test::published({std::string(129, 'a')})));
}

}  // namespace
}  // namespace penstock::token
