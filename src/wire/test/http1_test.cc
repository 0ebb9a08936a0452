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

struct Target {
  std::string_view line, host, path, query;
};

TEST(Http1Parser, TakesTargetsApart) {
  for (const Target& t : {Target{"GET /a%20b", "h", "/a%20b", ""},
                          {"GET /a?b=c?d", "h", "/a", "b=c?d"},
                          {"GET /?", "h", "/", ""},
                          {"GET http://h/a?b", "h", "/a", "b"},
                          {"GET HTTPS://H:1/a/", "h:1", "/a/", ""},
                          {"GET http://h", "h", "/", ""},
                          {"GET http://h?b", "h", "/", "b"},
                          {"GET http://[::1]:8/x", "[::1]:8", "/x", ""},
                          {"OPTIONS *", "h", "*", ""},
                          {"CONNECT h:1", "h:1", "h:1", ""},
                          {"POST //h/a", "h", "//h/a", ""}}) {
    Http1Parser parser(Http1Parser::Kind::request, {});
    std::string body;
    ASSERT_TRUE(parser.feed(fmt::format("{} HTTP/1.1\r\nHost: {}\r\n\r\n", t.line, t.host), body)) << t.line;
    EXPECT_EQ(parser.head().path, t.path) << t.line;
    EXPECT_EQ(parser.head().query, t.query) << t.line;
  }
  for (const char* line :
       {"GET *", "GET a", "GET http:/h", "GET ftp://h/", "GET http://", "GET http:///a", "GET http://u@h/",
        "GET http://h:x/", "GET http://g/", "CONNECT /", "CONNECT h", "CONNECT h:", "GET /#a", "OPTIONS **"})
    EXPECT_EQ(parse_request(fmt::format("{} HTTP/1.1\r\nHost: h\r\n\r\n", line)).status, 400) << line;
}

TEST(Http1Parser, KnowsTheFieldsAskedForByIdAndByName) {
  Http1Parser parser(Http1Parser::Kind::request, {});
  std::string body;
  ASSERT_TRUE(parser.feed(
      "GET / HTTP/1.1\r\nhOsT: h\r\nx-UNKNOWN: 1\r\nX-API-Key:\r\nX-Request-Id: a\r\nx-request-id: b\r\n\r\n", body));
  const Fields& fields = parser.head().fields;
  EXPECT_EQ(fields.get(FieldId::host), "h");
  EXPECT_EQ(fields.get("Host"), "h");
  EXPECT_EQ(fields.get("X-Unknown"), "1");
  EXPECT_EQ(fields.get(FieldId::x_request_id), "a") << "the first";
  EXPECT_EQ(fields.get("x-request-ID"), "a");
  bool found = false;
  EXPECT_EQ(fields.get(FieldId::x_api_key, &found), "");
  EXPECT_TRUE(found);
  EXPECT_EQ(fields.get(FieldId::cookie, &found), "");
  EXPECT_FALSE(found);
  EXPECT_FALSE(fields.has("cookie"));
  EXPECT_FALSE(fields.has("x_api_key"));
  EXPECT_EQ(fields.size(), 5U);
}

TEST(FieldId, EveryNameIsFoundInAnyCaseAndNothingElseIs) {
  for (std::size_t i = 1; i < kFieldIds; ++i) {
    auto id = static_cast<FieldId>(i);
    std::string name(field_name(id));
    EXPECT_EQ(field_id(name), id) << name;
    for (std::size_t at = 0; at < name.size(); ++at) {
      std::string other = name;
      for (int c = 0; c < 256; ++c) {
        other[at] = static_cast<char>(c);
        bool same = equal_ignoring_case(other, name);
        bool known = field_id(other) != FieldId::other && equal_ignoring_case(other, field_name(field_id(other)));
        EXPECT_EQ(field_id(other) == id, same) << other;
        EXPECT_EQ(field_id(other) != FieldId::other, known) << other;
      }
    }
  }
  EXPECT_EQ(field_id(""), FieldId::other);
  EXPECT_EQ(field_id("x"), FieldId::other);
}

// A head of the largest size that comes byte by byte costs a pass, not a pass per byte.
TEST(Http1Parser, AHeadByteByByteIsOneMessage) {
  std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(30'000, 'x') + "\r\n\r\n";
  EXPECT_TRUE(parse_request(bytes, 1).ok);
}

TEST(Http1Parser, GivesBodiesWithoutCopyingThem) {
  Http1Parser parser(Http1Parser::Kind::request, {});
  std::string_view bytes = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET";
  std::string_view piece;
  std::size_t used = parser.feed_view(bytes, piece).value();
  EXPECT_TRUE(piece.empty());
  EXPECT_EQ(parser.content_left(), 5U);
  EXPECT_EQ(parser.feed_view(bytes.substr(used, 2), piece).value(), 2U);
  EXPECT_EQ(piece.data(), bytes.data() + used);
  EXPECT_EQ(parser.content_left(), 3U);
  EXPECT_EQ(parser.feed_view(bytes.substr(used + 2), piece).value(), 3U);
  EXPECT_EQ(piece, "llo");
  EXPECT_TRUE(parser.message_done());
  parser.reset();
  bytes =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\nHost: "
      "b\r\n\r\n";
  used = parser.feed_view(bytes, piece).value();
  used += parser.feed_view(bytes.substr(used), piece).value();
  EXPECT_EQ(piece, "abc") << "one chunk at a time";
  EXPECT_GE(piece.data(), bytes.data());
  used += parser.feed_view(bytes.substr(used), piece).value();
  EXPECT_EQ(piece, "de");
  EXPECT_TRUE(parser.message_done()) << "the end is seen with the last piece";
  EXPECT_EQ(used, bytes.size());
  EXPECT_EQ(parser.trailers().get("x"), "y");
  EXPECT_FALSE(parser.trailers().has(FieldId::host)) << "not something a trailer may say";
}

TEST(Http1Parser, AnSseSizedChunkComesWithItsFraming) {
  Http1Parser parser(Http1Parser::Kind::response, {});
  std::string_view piece;
  parser.feed_view("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", piece).value();
  std::string_view chunk = "9\r\ndata: x\n\n\r\n";
  EXPECT_EQ(parser.feed_view(chunk, piece).value(), chunk.size());
  EXPECT_EQ(piece, "data: x\n\n");
}

TEST(Http1Parser, AnswersExpectationsItCannotMeet) {
  EXPECT_EQ(parse_request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n").status, 417);
  EXPECT_TRUE(parse_request("PUT / HTTP/1.0\r\nExpect: x\r\n\r\n").ok);
  EXPECT_EQ(parse_request("GET / HTTP/1.2\r\n\r\n").status, 505);
}

TEST(Http1Parser, AnEmptyLineBeforeARequestIsNoRequest) {
  Http1Parser parser(Http1Parser::Kind::request, {});
  std::string body;
  EXPECT_TRUE(parser.untouched());
  parser.feed("\r", body).value();
  EXPECT_TRUE(parser.untouched());
  parser.feed("\n", body).value();
  EXPECT_TRUE(parser.untouched());
  parser.feed("G", body).value();
  EXPECT_FALSE(parser.untouched());
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
  EXPECT_EQ(parse_request(std::string_view("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 28)).status, 400);
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
