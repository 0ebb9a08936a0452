// The property everything else rests on: how the bytes were cut changes nothing.
#include <gtest/gtest.h>

#include <random>

#include "wire/test/messages.h"

namespace penstock::wire {
namespace {

using Kind = Http1Parser::Kind;

void holds_for_any_split(Kind kind, const std::vector<std::string>& corpus) {
  std::mt19937 random(7);
  for (const std::string& bytes : corpus) {
    std::string whole = transcript(kind, bytes, {});
    SCOPED_TRACE(bytes);
    EXPECT_EQ(transcript(kind, bytes, {}, true), whole) << "as views";
    std::vector<std::size_t> every(bytes.size());
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = i + 1;
    ASSERT_EQ(transcript(kind, bytes, every), whole) << "byte by byte";
    ASSERT_EQ(transcript(kind, bytes, every, true), whole) << "byte by byte, as views";
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      ASSERT_EQ(transcript(kind, bytes, {cut}), whole) << "cut at " << cut;
      ASSERT_EQ(transcript(kind, bytes, {cut}, true), whole) << "as views, cut at " << cut;
    }
    for (int round = 0; round < 200; ++round) {
      std::vector<std::size_t> cuts(2 + random() % 8);
      for (std::size_t& cut : cuts) cut = 1 + random() % bytes.size();
      std::sort(cuts.begin(), cuts.end());
      ASSERT_EQ(transcript(kind, bytes, cuts, round % 2 == 0), whole);
    }
  }
}

TEST(Http1Split, ChangesNothingOfRequests) { holds_for_any_split(Kind::request, request_corpus()); }
TEST(Http1Split, ChangesNothingOfResponses) { holds_for_any_split(Kind::response, response_corpus()); }

// Every prefix of a message is either refused or waits; none is taken for the whole.
TEST(Http1Split, NoPrefixIsTakenForTheMessage) {
  std::string bytes =
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n";
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    Http1Parser parser(Kind::request, {});
    std::string body;
    std::string_view left = std::string_view(bytes).substr(0, size);
    while (!left.empty()) left.remove_prefix(parser.feed(left, body).value());
    EXPECT_FALSE(parser.message_done()) << size;
  }
}

// Random bytes in the middle of messages: still the same verdict for any split, and never a crash.
TEST(Http1Split, ChangesNothingOfMutations) {
  std::mt19937 random(11);
  for (Kind kind : {Kind::request, Kind::response}) {
    std::vector<std::string> corpus = kind == Kind::request ? request_corpus() : response_corpus();
    for (int round = 0; round < 20'000; ++round) {
      std::string bytes = corpus[random() % corpus.size()];
      constexpr std::string_view kUseful(
          "\r\n\t :;,=\"\\\0\x7f\x80"
          "05aHTP/.",
          21);
      for (std::size_t change = 0; change <= random() % 3; ++change) {
        std::size_t at = random() % bytes.size();
        char c = random() % 4 == 0 ? static_cast<char>(random()) : kUseful[random() % kUseful.size()];
        if (random() % 3 == 0)
          bytes.insert(at, 1, c);
        else
          bytes[at] = c;
      }
      std::vector<std::size_t> cuts(1 + random() % 6);
      for (std::size_t& cut : cuts) cut = 1 + random() % bytes.size();
      std::sort(cuts.begin(), cuts.end());
      ASSERT_EQ(transcript(kind, bytes, cuts), transcript(kind, bytes, {})) << bytes;
    }
  }
}

}  // namespace
}  // namespace penstock::wire
