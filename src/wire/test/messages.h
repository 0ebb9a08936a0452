// Messages, right and wrong, and a transcript of what the parser makes of them, for tests.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "wire/http1.h"

namespace penstock::wire {

constexpr Http1Limits kTestLimits{
    .line_bytes_max = 120, .head_bytes_max = 400, .fields_max = 12, .body_bytes_max = 200};

// Everything of one message that a caller can see.
inline void write_message(const Http1Parser& parser, const std::string& body, std::string& out) {
  const Http1Head& head = parser.head();
  out +=
      fmt::format("[{} {} {} {}] {} 1.{} keep={} body={} continue={}\n", head.method, head.target, head.path,
                  head.query, head.status, head.version_minor, head.keep_alive, head.has_body, head.expects_continue);
  auto write_fields = [&](const Fields& fields, char mark) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      Fields::Field field = fields.at(i);
      out += fmt::format("{}{}:{}:{}\n", mark, field.name, static_cast<int>(field.id), field.value);
    }
  };
  write_fields(head.fields, ' ');
  out += fmt::format("={}\n", body);
  if (parser.message_done()) write_fields(parser.trailers(), '+');
}

// Feeds `bytes` cut at `cuts` to one parser, message after message, until they are used up or refused.
inline std::string transcript(Http1Parser::Kind kind, std::string_view bytes, const std::vector<std::size_t>& cuts,
                              bool views = false) {
  Http1Parser parser(kind, kTestLimits);
  std::string out;
  std::string body;
  std::size_t at = 0;
  std::size_t next_cut = 0;
  while (at < bytes.size()) {
    while (next_cut < cuts.size() && cuts[next_cut] <= at) ++next_cut;
    std::size_t end = next_cut < cuts.size() ? std::min(cuts[next_cut], bytes.size()) : bytes.size();
    std::string_view piece;
    // A copy, so that a sanitizer sees reading beyond its end, and the parser cannot keep a view of it.
    std::vector<char> part(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                           bytes.begin() + static_cast<std::ptrdiff_t>(end));
    std::string_view input(part.data(), part.size());
    auto used = views ? parser.feed_view(input, piece) : parser.feed(input, body);
    if (!used) return out + body + fmt::format("!{}", used.error().status);
    body += piece;
    at += *used;
    if (!parser.message_done()) continue;
    write_message(parser, body, out);
    parser.reset();
    body.clear();
  }
  if (parser.head_done()) write_message(parser, body, out);
  bool clean = parser.untouched();
  bool ended = parser.finish();
  return out + (clean ? "clean" : ended ? "ended" : "cut");
}

inline std::vector<std::string> request_corpus() {
  std::string nul("GET /a HTTP/1.1\r\nHost: a\r\nX: a b\r\n\r\n");
  nul[nul.find("a b") + 1] = '\0';
  std::string post = "POST /x HTTP/1.1\r\nHost: a\r\n";
  std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  return {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\nGET / HTTP/1.0\r\n\r\n",
      "\r\n\r\nGET / HTTP/1.0\r\n\r\n",
      post + "Content-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nhost:\t b:80 \t\r\n\r\n",
      post + "Content-Length: 0\r\nConnection: Keep-Alive, close\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      chunked +
          "5;a=b;c=\"d\\\"e\";f\r\nhello\r\n003\r\nabc\r\n0\r\nX-Sum: 7\r\nHost: evil\r\nETag: \"x\"\r\n\r\nGET /",
      chunked + "A\r\n0123456789\r\n0\r\n\r\nPUT http://b:81/y?z HTTP/1.1\r\nHost: B:81\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
      "GET http://[::1]:80?x HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-Continue\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX-Long-Unknown-Name: with \xc3\xa4 inside\r\nEmpty:\r\nBlank: \t \r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n",
      "GET  / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "GET / HTTP/5.6",
      "GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET foo HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /\r\n\r\n",
      "\x16\x03\x01\x02",
      "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\n\n",
      "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
      "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
      "GET http://a HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nX: y\r\n\r\n",
      "GET /" + std::string(130, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /" + std::string(106, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
      std::string(40, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(400, 'x') + "\r\n\r\n",
      "GET / "
      "HTTP/1.1\r\nA:1\r\nB:2\r\nC:3\r\nD:4\r\nE:5\r\nF:6\r\nG:7\r\nH:8\r\nI:9\r\nJ:0\r\nK:1\r\nL:2\r\nM:3\r\n\r\n",
      nul,
      post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
      post + "Content-Length: 5, 5\r\n\r\nhello",
      post + "Content-Length: 201\r\n\r\nhello",
      post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      chunked + "5\r\nhelloX\r\n0\r\n\r\n",
      chunked + "5\r\nhello\r\nz\r\n",
      chunked + "-1\r\n",
      chunked + "5 \r\nhello\r\n0\r\n\r\n",
      chunked + "5;\r\nhello\r\n0\r\n\r\n",
      chunked + "5\nhello\r\n0\r\n\r\n",
      chunked + "FFFFFFFFFFFFFFFFF\r\n",
      chunked + "64\r\n" + std::string(100, 'a') + "\r\n65\r\n" + std::string(101, 'b') + "\r\n0\r\n\r\n",
      chunked + "0\r\nBad Name: x\r\n\r\n",
      chunked + "0\r\nX: a\rb\r\n\r\n",
      chunked + "0\r\nX: a\nY: b\r\n\r\n",
  };
}

inline std::vector<std::string> response_corpus() {
  std::string ok = "HTTP/1.1 200 OK\r\n";
  return {
      ok + "Content-Length: 5\r\n\r\nhelloHTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
      ok + "Content-Type: text/plain\r\n\r\nuntil the end of the stream",
      "HTTP/1.0 200\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx",
      "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx",
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\nHTTP/1.1 404 Nicht da \xc3\xa4\r\nContent-Length: "
      "0\r\n\r\n",
      ok + std::string("X: y\r\n\r\n") + std::string(201, 'x'),
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/1.1\r\n\r\n",
      "HTTP/2.0 200 OK\r\n\r\n",
      "http/1.1 200 OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",
      "HTTP/1.1 200 O\tK\x7f\r\n\r\n",
      "\r\nHTTP/1.1 200 OK\r\n\r\n",
      ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
      ok + "Content-Length: x\r\n\r\n",
      ok + "A: b\r\n\tc\r\n\r\n",
  };
}

}  // namespace penstock::wire
