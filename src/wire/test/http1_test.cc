#include <gtest/gtest.h>

#include "wire/http1.h"

namespace penstock::wire {
namespace {

struct Parsed {
  bool ok = false;
  int status = 0;
  std::string method, target, body;
  std::size_t used = 0;
};

// Feeds `bytes` in pieces of `step`.
Parsed parse_request(std::string_view bytes, std::size_t step = 1'000'000, Http1Limits limits = {}) {
  Http1Parser parser(Http1Parser::Kind::request, limits);
  Parsed result;
  while (!parser.message_done() && result.used < bytes.size()) {
    std::string_view piece = bytes.substr(result.used, step);
    auto used = parser.feed(piece, result.body);
    if (!used) {
      result.status = used.error().status;
      return result;
    }
    result.used += *used;
  }
  result.ok = parser.message_done();
  result.method = parser.head().method;
  result.target = parser.head().target;
  return result;
}

TEST(Http1Parser, ReadsARequestWithABody) {
  auto r = parse_request("POST /v1/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET");
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.method, "POST");
  EXPECT_EQ(r.target, "/v1/chat");
  EXPECT_EQ(r.body, "hello");
  EXPECT_EQ(r.used, 59U) << "the next request is left alone";
}

TEST(Http1Parser, AnySplitGivesTheSameMessage) {
  std::string_view bytes =
      "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n3\r\nabc\r\n0\r\nTrailer: "
      "t\r\n\r\n";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    auto r = parse_request(bytes, step);
    EXPECT_TRUE(r.ok) << step;
    EXPECT_EQ(r.body, "helloabc") << step;
    EXPECT_EQ(r.used, bytes.size()) << step;
  }
}

TEST(Http1Parser, RefusesAmbiguousFraming) {
  for (const char* fields :
       {"Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: +5\r\n", "Content-Length: -1\r\n",
        "Content-Length: 5, 5\r\n", "Content-Length: 0x5\r\n", "Content-Length:\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n", "A: b\r\n folded\r\n", "A : b\r\n", "A: b\nC: d\r\n", "A: b\rc\r\n",
        "Host: b\r\n"}) {
    auto r = parse_request(std::string("POST / HTTP/1.1\r\nHost: a\r\n") + fields + "\r\nhello");
    EXPECT_FALSE(r.ok) << fields;
    EXPECT_EQ(r.status, 400) << fields;
  }
  EXPECT_EQ(parse_request("GET / HTTP/1.1\r\n\r\n").status, 400);
  EXPECT_EQ(parse_request(std::string_view("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 31)).status, 400);
}

TEST(Http1Parser, EachLimitHasItsStatus) {
  Http1Limits limits{.line_bytes_max = 100, .head_bytes_max = 300, .body_bytes_max = 10};
  EXPECT_EQ(parse_request("GET /" + std::string(200, 'a'), 64, limits).status, 414);
  EXPECT_EQ(parse_request("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(400, 'a'), 64, limits).status, 431);
  EXPECT_EQ(parse_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 64, limits).status, 413);
  EXPECT_EQ(
      parse_request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n", 64,
                    limits)
          .status,
      413);
}

TEST(Http1Parser, RefusesBadChunks) {
  for (const char* body : {"5\r\nhelloX", "z\r\n", "-1\r\n", "5 \n", "FFFFFFFFFFFFFFFFFF\r\n"}) {
    auto r = parse_request(std::string("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") + body);
    EXPECT_FALSE(r.ok) << body;
    EXPECT_GE(r.status, 400) << body;
  }
}

TEST(Http1Parser, ReadsResponsesUntilTheEndOfTheStream) {
  Http1Parser parser(Http1Parser::Kind::response, {});
  std::string body;
  std::string_view bytes = "HTTP/1.1 200 OK\r\nContent-Type: x\r\n\r\nabc";
  std::size_t used = parser.feed(bytes, body).value();
  EXPECT_TRUE(parser.head_done());
  EXPECT_EQ(parser.head().status, 200);
  parser.feed(bytes.substr(used), body).value();
  EXPECT_FALSE(parser.message_done());
  EXPECT_TRUE(parser.finish());
  EXPECT_EQ(body, "abc");
  parser.reset();
  parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", body).value();
  EXPECT_FALSE(parser.finish()) << "a cut body is no proper end";
}

}  // namespace
}  // namespace penstock::wire
