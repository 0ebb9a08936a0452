// What one HTTP/1.1 head costs: the request head of an SDK's chat call and the head of a provider's answer, each in one
// piece, as nearly all of them arrive. Prints nanoseconds per head, the best of many short rounds: a
// busy machine shows in most of them, not in all.
#include <chrono>
#include <cstdio>

#include "wire/http1.h"

namespace {

using penstock::wire::Http1Parser;

constexpr std::string_view kRequest =
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "Host: 127.0.0.1:8080\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\n"
    "Accept: application/json\r\n"
    "Content-Type: application/json\r\n"
    "User-Agent: OpenAI/Python 1.68.2\r\n"
    "X-Stainless-Lang: python\r\n"
    "X-Stainless-Async: false\r\n"
    "Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n"
    "Content-Length: 250\r\n"
    "\r\n";

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: application/json\r\n"
    "Date: Mon, 02 Jun 2025 10:11:12 GMT\r\n"
    "Content-Length: 300\r\n"
    "Connection: keep-alive\r\n"
    "Server: uvicorn\r\n"
    "x-request-id: req_0123456789abcdef0123456789abcdef\r\n"
    "openai-processing-ms: 42\r\n"
    "\r\n";

volatile std::size_t g_kept = 0;

double best_nanoseconds(Http1Parser::Kind kind, std::string_view head, bool fresh) {
  constexpr int kRounds = 400;
  constexpr int kHeads = 1000;
  double best = 1e9;
  Http1Parser kept(kind, {});
  std::string body;
  for (int round = 0; round < kRounds; ++round) {
    auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kHeads; ++i) {
      if (fresh) {
        Http1Parser parser(kind, {});
        g_kept = g_kept + parser.feed(head, body).value_or(0);
      } else {
        kept.reset();
        g_kept = g_kept + kept.feed(head, body).value_or(0);
      }
    }
    std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count() / kHeads);
  }
  return best;
}

void report(const char* what, Http1Parser::Kind kind, std::string_view head) {
  std::printf("%-8s %4zu bytes  parser kept %7.1f ns  parser made anew %7.1f ns\n", what, head.size(),
              best_nanoseconds(kind, head, false), best_nanoseconds(kind, head, true));
}

}  // namespace

int main() {
  report("request", Http1Parser::Kind::request, kRequest);
  report("answer", Http1Parser::Kind::response, kAnswer);
}
