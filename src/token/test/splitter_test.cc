#include "token/splitter.h"

#include <gmock/gmock.h>

#include <random>
#include <string>
#include <vector>

#include "token/classes.h"

namespace penstock::token {
namespace {

using testing::ElementsAre;
using Pieces = std::vector<std::string>;

Pieces split(Pattern pattern, std::string_view text) {
  Pieces pieces;
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    bool open = false;
    const char* next = next_piece(pattern)(at, end, open);
    EXPECT_GT(next, at);
    EXPECT_LE(next, end);
    if (next <= at || next > end) break;
    pieces.emplace_back(at, next);
    at = next;
  }
  return pieces;
}

TEST(Classes, AreThoseOfUnicode16) {
  const ClassTable& table = ClassTable::get();
  struct Row {
    char32_t point;
    CharClass kind;
  };
  for (auto [point, kind] :
       std::initializer_list<Row>{{'a', CharClass::lower},     {'Z', CharClass::upper},      {'5', CharClass::number},
                                  {' ', CharClass::space},     {'\n', CharClass::newline},   {'\v', CharClass::space},
                                  {0x1C, CharClass::other},    {0x85, CharClass::space},     {0x200B, CharClass::other},
                                  {0x3000, CharClass::space},  {0x1C5, CharClass::upper},     // titlecase
                                  {0x2B0, CharClass::letter},                                 // modifier
                                  {0x4E2D, CharClass::letter},                                // ideograph
                                  {0x301, CharClass::mark},    {0xBD, CharClass::number},     // one half
                                  {0x1C89, CharClass::upper},                                 // new in 16.0
                                  {0x1F44D, CharClass::other}, {0x323AF, CharClass::letter},  // the last of a block
                                  {0x323B0, CharClass::other}, {0x10FFFF, CharClass::other}}) {
    EXPECT_EQ(table.of(point), kind) << static_cast<unsigned>(point);
  }
}

TEST(Splitter, CutsWords) {
  EXPECT_THAT(split(Pattern::o200k, "Hello worldWide HTTPServer"),
              ElementsAre("Hello", " world", "Wide", " HTTPServer"));
  EXPECT_THAT(split(Pattern::cl100k, "Hello worldWide HTTPServer"), ElementsAre("Hello", " worldWide", " HTTPServer"));
  EXPECT_THAT(split(Pattern::r50k, "Hello\tworld"), ElementsAre("Hello", "\t", "world"));
  EXPECT_THAT(split(Pattern::cl100k, "Hello\tworld"), ElementsAre("Hello", "\tworld"));
  EXPECT_THAT(split(Pattern::o200k, "ABC中文abcABC"), ElementsAre("ABC中文abc", "ABC"));
  EXPECT_THAT(split(Pattern::o200k, "中ABC def"), ElementsAre("中", "ABC", " def"));
}

TEST(Splitter, CutsContractions) {
  EXPECT_THAT(split(Pattern::o200k, "I'll we'RE she's'x"), ElementsAre("I'll", " we'RE", " she's", "'x"));
  EXPECT_THAT(split(Pattern::cl100k, "I'll we'RE 'sx"), ElementsAre("I", "'ll", " we", "'RE", " '", "sx"));
  EXPECT_THAT(split(Pattern::r50k, "I'll we'RE"), ElementsAre("I", "'ll", " we", "'", "RE"));
  EXPECT_THAT(split(Pattern::cl100k, "'\u017Fx"), ElementsAre("'\u017F", "x")) << "the long s is an s in any case";
  EXPECT_THAT(split(Pattern::r50k, "'\u017Fx"), ElementsAre("'", "\u017Fx"));
}

TEST(Splitter, CutsNumbersAndSymbols) {
  EXPECT_THAT(split(Pattern::o200k, "12345 ok"), ElementsAre("123", "45", " ok"));
  EXPECT_THAT(split(Pattern::r50k, "x 12345"), ElementsAre("x", " 12345"));
  EXPECT_THAT(split(Pattern::o200k, "a ==!\n/b"), ElementsAre("a", " ==!\n/", "b"));
  EXPECT_THAT(split(Pattern::cl100k, "a ==!\n/b"), ElementsAre("a", " ==!\n", "/b"));
  EXPECT_THAT(split(Pattern::cl100k, "(foo)"), ElementsAre("(foo", ")"));
}

TEST(Splitter, CutsBlanks) {
  EXPECT_THAT(split(Pattern::o200k, "a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(split(Pattern::o200k, "a  \n \n  b"), ElementsAre("a", "  \n \n", " ", " b"));
  EXPECT_THAT(split(Pattern::o200k, "a\n  "), ElementsAre("a", "\n", "  "));
  EXPECT_THAT(split(Pattern::cl100k, "a\n  "), ElementsAre("a", "\n  ")) << "at the end of the text all blanks are one";
  EXPECT_THAT(split(Pattern::r50k, "a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
}

TEST(Splitter, MarksBelongToWordsOnlyInTheNewerPattern) {
  EXPECT_THAT(split(Pattern::o200k, "e\u0301a"), ElementsAre("e\u0301a"));
  EXPECT_THAT(split(Pattern::cl100k, "e\u0301a"), ElementsAre("e", "\u0301a"));
  EXPECT_THAT(split(Pattern::o200k, "\u0301AB "), ElementsAre("\u0301", "AB", " "));
}

TEST(Splitter, BytesThatAreNoUtf8StandAlone) {
  for (Pattern pattern : {Pattern::r50k, Pattern::cl100k, Pattern::o200k}) {
    EXPECT_THAT(split(pattern, "\xFF"), ElementsAre("\xFF"));
    EXPECT_THAT(split(pattern, "\xE4\xB8"), ElementsAre("\xE4\xB8")) << "cut short";
    EXPECT_THAT(split(pattern, "1\xED\xA0\x80"), ElementsAre("1", "\xED\xA0\x80")) << "a surrogate: three symbols";
    EXPECT_THAT(split(pattern, "1\xC0\xAF"), ElementsAre("1", "\xC0\xAF")) << "overlong";
    EXPECT_THAT(split(pattern, "1\xF5\x80\x80\x80"), ElementsAre("1", "\xF5\x80\x80\x80")) << "beyond Unicode";
  }
}

// What was not open stays what it is whatever follows.
TEST(Splitter, SaysWhenMoreTextCouldChangeThePiece) {
  const std::vector<std::string> parts{"a",  "B", "'", "s",  "l",      "1",      " ",
                                       "\n", ".", "/", "中", "\u0301", "\u017F", "\xE4"};
  std::mt19937 random(5);
  auto draw = [&] {
    std::string text;
    for (std::size_t i = 1 + random() % 6; i > 0; --i) text += parts[random() % parts.size()];
    return text;
  };
  for (int i = 0; i < 20000; ++i) {
    std::string text = draw(), longer = text + draw();
    for (Pattern pattern : {Pattern::r50k, Pattern::cl100k, Pattern::o200k}) {
      bool open = false, ignored = false;
      auto size = next_piece(pattern)(text.data(), text.data() + text.size(), open) - text.data();
      auto later = next_piece(pattern)(longer.data(), longer.data() + longer.size(), ignored) - longer.data();
      ASSERT_TRUE(open || size == later) << text << " then " << longer;
    }
  }
}

}  // namespace
}  // namespace penstock::token
