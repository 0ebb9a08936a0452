// The runner itself: a case that cannot fail would be worse than none.
#include <gmock/gmock.h>

#include <fstream>

#include "case_file.h"
#include "json_difference.h"

namespace penstock::golden {
namespace {

using testing::HasSubstr;

Result<CaseFile> read(std::string_view text) {
  auto folder = std::filesystem::path(testing::TempDir()) / "openai_chat-anthropic";
  std::filesystem::create_directories(folder);
  auto path = folder / "one.txt";
  std::ofstream(path, std::ios::binary) << text;
  auto found = read_case(path);
  std::filesystem::remove(path);
  return found;
}

std::string mistake(std::string_view text) {
  auto found = read(text);
  return found ? "none" : found.error().detail;
}

TEST(CaseFile, HoldsItsSections) {
  auto found = read("# about\n--- request\n{\n}\n--- upstream\n{}\n--- answer 429\n{}\n--- reply\n{}\n");
  ASSERT_TRUE(found.has_value()) << found.error().detail;
  EXPECT_EQ(found->client, "openai_chat");
  EXPECT_EQ(found->provider, "anthropic");
  EXPECT_EQ(found->name, "one");
  EXPECT_EQ(found->about, "about");
  EXPECT_EQ(*found->find("request"), "{\n}\n");
  EXPECT_EQ(found->sections.find("answer")->second.argument, "429");
  EXPECT_FALSE(found->has("dropped"));
}

TEST(CaseFile, SaysWhatIsWrong) {
  EXPECT_THAT(mistake("--- request\n{}\n--- upstream\n{}\n"), HasSubstr("says nothing about the case"));
  EXPECT_THAT(mistake("# about\n--- request\n{}\n"), HasSubstr("checks nothing"));
  EXPECT_THAT(mistake("# about\n--- upstream\n{}\n"), HasSubstr("no --- request"));
  EXPECT_THAT(mistake("# about\n--- request\n{}\n--- sent\n"), HasSubstr("line 4: no section is called 'sent'"));
  EXPECT_THAT(mistake("# about\n--- request\n{}\n--- request\n"), HasSubstr("line 4: a second --- request"));
  EXPECT_THAT(mistake("# about\n--- request\n{}\n--- answer\n{}\n"), HasSubstr("belong together"));
  EXPECT_THAT(mistake("# about\n--- request\n{}\n--- stream\nx\n"), HasSubstr("no --- events"));
  EXPECT_THAT(mistake("# about\n--- request\n{}\n--- events\nx\n"), HasSubstr("no --- stream"));
  EXPECT_THAT(mistake("# about\n--- request\n{}\n--- error\nx\n--- upstream\n{}\n"), HasSubstr("refused request"));
  EXPECT_THAT(mistake("# about\nhello\n--- request\n"), HasSubstr("line 2: stands before"));
}

TEST(CaseFile, EndsAreOfItsFraming) {
  EXPECT_EQ(with_end("data: 1\n\n\n\n", "\n\n"), "data: 1\n\n");
  EXPECT_EQ(with_end("data: 1", "\n\n"), "data: 1\n\n");
}

TEST(Differences, AreOfValues) {
  EXPECT_EQ(text_differences(R"({"a":1,"b":[1.0,2]})", R"({"b":[1,2.0],"a":1e0})"), "");
  EXPECT_EQ(text_differences("0.10000000149011612", "0.1"), "");
  EXPECT_EQ(text_differences("9007199254740993", "9007199254740993"), "");
  EXPECT_NE(text_differences("9007199254740993", "9007199254740992"), "");
  EXPECT_NE(text_differences("1", "\"1\""), "");
  EXPECT_NE(text_differences("true", "1"), "");
}

TEST(Differences, NameTheirPlace) {
  EXPECT_EQ(text_differences(R"({"a":[{"b":1}],"d":2})", R"({"a":[{"b":2,"c":3},4]})"),
            "  a[0].b: is 1, should be 2\n"
            "  a[0].c: is missing, should be 3\n"
            "  a[1]: is missing, should be 4\n"
            "  d: is 2, should not be there\n");
  EXPECT_THAT(text_differences("{", "{}"), HasSubstr("no JSON"));
}

}  // namespace
}  // namespace penstock::golden
