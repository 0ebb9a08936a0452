// peek() and read_integers() held against the document parsers: what they accept, what they say and where.
#include <gtest/gtest.h>
#include <simdjson.h>
#include <strings.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "json/integers.h"
#include "json/peek.h"
#include "json/scan.h"

namespace penstock::json {
namespace {

namespace sj = simdjson;
using Kind = Field::Kind;

constexpr std::array<std::string_view, 5> kNames{"model", "stream", "messages", "n", "a"};

// What simdjson's document parser makes of the text; nothing when it refuses it or when policy does.
class Reference {
 public:
  Reference() { static_cast<void>(parser_.allocate(4096, kDepthMax)); }

  bool parse(std::string_view text, sj::dom::object& object) {
    sj::dom::element root;
    if (text.starts_with("\xEF\xBB\xBF") || parser_.parse(text.data(), text.size(), true).get(root)) return false;
    return !root.get_object().get(object);
  }

  // The one member of this name; false when there are two, or one whose letters are of another case.
  static bool member(sj::dom::object object, std::string_view name, std::optional<sj::dom::element>& found) {
    for (auto field : object) {
      if (field.key.size() != name.size() || strncasecmp(field.key.data(), name.data(), name.size()) != 0) continue;
      if (field.key != name) return false;
      if (found) return false;
      found = field.value;
    }
    return true;
  }

  bool accepts(sj::dom::object object) {
    return std::all_of(kNames.begin(), kNames.end(), [&](std::string_view name) {
      std::optional<sj::dom::element> found;
      return member(object, name, found);
    });
  }

 private:
  sj::dom::parser parser_;
};

void expect_same(const Field& field, sj::dom::element element, std::string_view text) {
  std::string_view bytes = text.substr(field.begin, field.end - field.begin);
  static sj::dom::parser parser;
  sj::dom::element again;
  ASSERT_FALSE(parser.parse(bytes.data(), bytes.size(), true).get(again)) << bytes;
  EXPECT_EQ(sj::minify(again), sj::minify(element)) << text;
  EXPECT_FALSE(is_blank(bytes.front()) || is_blank(bytes.back())) << bytes;
  switch (element.type()) {
    case sj::dom::element_type::NULL_VALUE: EXPECT_EQ(field.kind, Kind::null); break;
    case sj::dom::element_type::BOOL:
      EXPECT_EQ(field.kind, Kind::boolean);
      EXPECT_EQ(field.boolean, element.get_bool().value_unsafe());
      break;
    case sj::dom::element_type::INT64:
      EXPECT_EQ(field.kind, Kind::integer);
      EXPECT_EQ(field.integer, element.get_int64().value_unsafe());
      break;
    case sj::dom::element_type::UINT64:
    case sj::dom::element_type::DOUBLE:
      EXPECT_EQ(field.kind, Kind::number);
      EXPECT_EQ(field.number, element.get_double().value_unsafe());
      break;
    case sj::dom::element_type::STRING:
      EXPECT_EQ(field.kind, Kind::string);
      EXPECT_EQ(field.string, element.get_string().value_unsafe());
      break;
    case sj::dom::element_type::ARRAY:
      EXPECT_EQ(field.kind, Kind::array);
      EXPECT_EQ(field.elements, element.get_array().value_unsafe().size());
      break;
    case sj::dom::element_type::OBJECT: EXPECT_EQ(field.kind, Kind::object); break;
  }
}

// Everything peek() says of the text is what the document parser says. True when it was accepted.
bool expect_same(Reference& reference, std::string_view text) {
  auto peeked = peek(text, kNames);
  sj::dom::object object;
  bool accepted = reference.parse(text, object) && reference.accepts(object);
  EXPECT_EQ(peeked.has_value(), accepted) << text << "\n" << (peeked ? "accepted" : peeked.error().detail);
  if (!accepted || !peeked) return false;
  EXPECT_EQ(peeked->empty, object.size() == 0);
  EXPECT_EQ(text[peeked->object_begin], '{');
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    std::optional<sj::dom::element> found;
    Reference::member(object, kNames[i], found);
    EXPECT_EQ(peeked->fields[i].kind != Kind::absent, found.has_value()) << text;
    if (found) expect_same(peeked->fields[i], *found, text);
  }
  return true;
}

const std::vector<std::string>& seeds() {
  static const std::vector<std::string> texts{
      R"({"model":"chat","stream":true,"messages":[{"role":"user","content":"Hello, \"you\"\n\u00e9\ud83d\ude00 é😀"}]})",
      R"( { "n" : -0 , "a":[ ], "stream" : null, "messages": {} , "x":[[],{},[1,2.5e-3,-1E+2],"\\"] } )",
      R"({"n":18446744073709551615,"a":-9223372036854775808,"model":1e308,"stream":0.1,"messages":"\ud834\udd1e"})",
      R"({"n":9223372036854775807,"a":9223372036854775808,"mod\u0065l":"m","stream":12345678901234567890e-30})",
      R"({"a":"0123456789abcdef0123456789abcdef\t0123456789","b":"éééééééééééééééééééééééééééééé","n":0.0})",
      R"({"":"","a":false,"n":true,"x":-1.7976931348623157e308,"y":2.2250738585072014e-308,"z":0e999})",
      R"({})",
      "{\"a\":" + std::string(62, '[') + "1" + std::string(62, ']') + "}",
      "{\"a\":" + std::string(63, '[') + std::string(63, ']') + "}",
  };
  return texts;
}

std::string mutated(std::string text, std::mt19937& random) {
  static const std::string alphabet =
      "{}[]:,\"\\/ \n\t\rtruefalsn0123456789.eE+-u\x01\x1f\x7f\x80\xbf\xc3\xa9\xed\xf0\xff";
  auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % std::max<std::size_t>(n, 1)); };
  for (std::size_t times = 1 + below(3); times > 0; --times) {
    std::size_t at = below(text.size());
    switch (below(6)) {
      case 0: text.insert(at, 1, alphabet[below(alphabet.size())]); break;
      case 1: text.erase(at, 1 + below(4)); break;
      case 2: text.insert(at, text.substr(below(text.size()), below(20))); break;
      case 3: text.resize(at); break;
      default:
        if (!text.empty()) text[at] = alphabet[below(alphabet.size())];
    }
  }
  return text;
}

TEST(PeekAgainstDocument, AgreesOnRandomMutations) {
  Reference reference;
  std::mt19937 random(7);
  std::size_t accepted = 0;
#if defined(__has_feature) && __has_feature(address_sanitizer)
  constexpr int kRounds = 30'000;
#else
  constexpr int kRounds = 300'000;
#endif
  for (int i = 0; i < kRounds && !testing::Test::HasFailure(); ++i) {
    if (expect_same(reference, mutated(seeds()[random() % seeds().size()], random))) ++accepted;
  }
  EXPECT_GT(accepted, kRounds / 15U);
}

TEST(PeekAgainstDocument, AgreesOnEveryPrefixAndPaddingAtTheEdgeOfMemory) {
  Reference reference;
  const std::size_t page = 4096;
  void* pages = ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  char* edge = static_cast<char*>(pages) + page;
  ASSERT_EQ(::mprotect(edge, page, PROT_NONE), 0);
  for (const std::string& seed : seeds()) {
    for (std::size_t blanks = 0; blanks < 17; ++blanks) {
      std::string padded = seed + std::string(blanks, ' ');
      for (std::size_t size = 0; size <= padded.size(); ++size) {
        std::copy_n(padded.data(), size, edge - size);
        expect_same(reference, {edge - size, size});
      }
    }
  }
  ::munmap(pages, 2 * page);
}

TEST(PeekAgainstDocument, AgreesOnTheLengthOfStringsAndTheirKinds) {
  Reference reference;
  for (std::size_t length = 0; length < 70; ++length) {
    for (std::string_view tail : {"", "\\n", "\\", "\n", "é", "\xc3", "\xff", "\\ud800", "\\u12g4", "\\udc00\\ud800"}) {
      for (std::string_view key : {"a", "b"}) {
        expect_same(reference, fmt::format("{{\"{}\":\"{}{}\",\"n\":1}}", key, std::string(length, 'x'), tail));
        expect_same(reference, fmt::format("{{\"{}{}\":1,\"n\":\"{}\"}}", std::string(length, 'x'), tail, key));
      }
    }
  }
}

TEST(PeekAgainstDocument, AgreesOnNumbers) {
  Reference reference;
  for (const char* number : {"18446744073709551616",
                             "-9223372036854775809",
                             "1e309",
                             "-1e309",
                             "1e400",
                             "1e-400",
                             "1e99999999999",
                             "0e99999",
                             "179769313486231580793728971405301e276",
                             "1.7976931348623159e308",
                             "0.00000000000000000000000000000001e340",
                             "123456789012345678901234567890",
                             "1234567890123456789012345678901234567890.5",
                             "-",
                             "-a",
                             "1.",
                             ".5",
                             "01",
                             "1e",
                             "1e+",
                             "-0",
                             "-0.0",
                             "0x1",
                             "1_0",
                             "NaN",
                             "Infinity",
                             "4.9e-324",
                             "9007199254740993.0"}) {
    expect_same(reference, fmt::format("{{\"n\":{}}}", number));
    expect_same(reference, fmt::format("{{\"x\":[{} ],\"n\":1}}", number));
  }
}

TEST(PeekAgainstDocument, AgreesOnThePublicSuite) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  std::filesystem::path folder = shared != nullptr ? shared : PENSTOCK_SOURCE_DIR "/../shared";
  folder /= "data/json_suite/test_parsing";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "no JSONTestSuite at " << folder;
  Reference reference;
  std::size_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(file.path(), std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (text.size() > 1'000'000) continue;
    ++count;
    expect_same(reference, text);
    expect_same(reference, "{\"a\":" + text + "}");
    if (file.path().filename().string().starts_with("n_")) EXPECT_FALSE(peek(text, kNames)) << file.path();
  }
  EXPECT_GT(count, 300U);
}

TEST(PlainEnd, IsTheSameByBytesWordsAndBlocks) {
  std::mt19937 random(3);
  for (int i = 0; i < 100'000; ++i) {
    std::string text(random() % 70, 'x');
    for (std::size_t changes = random() % 4; changes > 0 && !text.empty(); --changes)
      text[random() % text.size()] = "\"\\\n\x1f\x20\x7f\x80\xff\xa2\xdc"[random() % 10];
    std::array<bool, 3> ascii{true, true, true};
    const char* end = text.data() + text.size();
    const char* bytes = plain_end_bytes(text.data(), end, ascii[0]);
    EXPECT_EQ(plain_end_words(text.data(), end, ascii[1]), bytes);
    EXPECT_EQ(plain_end(text.data(), end, ascii[2]), bytes);
    EXPECT_EQ(ascii[1], ascii[0]);
    EXPECT_EQ(ascii[2], ascii[0]);
  }
}

TEST(Text, OwnsWhatWasEscapedAlsoInCopies) {
  std::string text = R"({"a":"\u0061 long enough for the heap \n","n":"short","model":""})";
  auto peeked = std::make_unique<Peeked>(peek(text, kNames).value());
  Field copy = peeked->fields[4];
  Field plain = peeked->fields[3];
  EXPECT_TRUE(peeked->fields[0].string.empty());
  peeked.reset();
  EXPECT_EQ(copy.string, "a long enough for the heap \n");
  EXPECT_EQ(plain.string.view().data(), text.data() + plain.begin + 1);
}

}  // namespace
}  // namespace penstock::json
