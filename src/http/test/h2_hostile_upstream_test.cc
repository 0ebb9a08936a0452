// An upstream that breaks the rules of HTTP/2, byte by byte.
#include <gmock/gmock.h>

#include "http/client.h"
#include "net/acceptor.h"
#include "rt/await.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: llm.example\r\n";

// An upstream that says these bytes after it got the preface, whatever they are.
struct Hostile : testing::TestWithParam<std::pair<const char*, std::string>> {};

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, const std::string& payload) {
  std::string bytes;
  auto size = static_cast<std::uint32_t>(payload.size());
  for (int shift : {16, 8, 0}) bytes += static_cast<char>(size >> shift);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(stream >> shift);
  return bytes + payload;
}
std::string times(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}
const std::string kSettings = frame(4, 0, 0, "");
const std::string kHeaders200 = frame(1, 4, 1, "\x88");

rt::Task<void> say(rt::Loop& loop, int fd, std::string bytes) {
  net::Stream stream(loop, fd);
  std::array<char, 4096> buffer{};
  auto got = co_await stream.read(buffer);
  if (!got) co_return;
  (void)co_await stream.write(bytes);
  stream.set_deadline(loop.now() + 5s);
  do {
    got = co_await stream.read(buffer);
  } while (got && *got > 0);
}

TEST_P(Hostile, GetsNoFurtherThanItsOwnCall) {
  rt::Loop loop;
  rt::TaskScope upstreams(loop);
  auto acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [&](int fd, const net::Endpoint&) {
        upstreams.spawn(say(loop, fd, GetParam().second));
      }).value();
  ClientPool pool(loop);
  Origin origin;
  origin.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port()));
  origin.http2 = Http2Use::prior_knowledge;
  auto to = std::make_shared<const Origin>(std::move(origin));
  std::string outcome;
  auto asking = [](ClientPool& from, std::shared_ptr<const Origin> o, rt::TaskScope& others,
                   std::string& out) -> rt::Task<void> {
    {
      ClientCall call(from, o, {300ms, 300ms, 2s});
      auto sent = co_await call.send(kGet, "");
      auto all = sent ? co_await call.read_all(1U << 20) : Result<std::string_view>(std::unexpected(sent.error()));
      out = all ? "200" : std::string(to_string(all.error().code));
    }
    from.close_all();
    co_await others.idle();
    from.loop().stop();
  };
  rt::spawn(asking(pool, to, upstreams, outcome));
  loop.run();
  EXPECT_EQ(outcome, GetParam().first);
}
INSTANTIATE_TEST_SUITE_P(
    All, Hostile,
    testing::Values(
        // Not HTTP/2 at all.
        std::pair("protocol_error", std::string("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")),
        // A push, which our settings forbid.
        std::pair("protocol_error", kSettings + frame(5, 4, 1, std::string("\0\0\0\2\x82\x84\x86", 7))),
        // PING without end.
        std::pair("protocol_error", kSettings + times(20'000, frame(6, 0, 0, "12345678"))),
        // SETTINGS without end.
        std::pair("protocol_error", times(20'000, kSettings)),
        // Nothing but window updates.
        std::pair("protocol_error", kSettings + times(20'000, frame(8, 0, 0, std::string("\0\0\0\1", 4)))),
        // Empty pieces of a body.
        std::pair("protocol_error", kSettings + kHeaders200 + times(20'000, frame(0, 0, 1, ""))),
        // A window over 2^31-1.
        std::pair("protocol_error", kSettings + frame(8, 0, 0, "\x7f\xff\xff\xff")),
        // A head in pieces without end.
        std::pair("protocol_error", kSettings + frame(1, 0, 1, "\x88") + times(20'000, frame(9, 0, 1, ""))),
        // A head that swells: one large field said again and again by its number.
        std::pair("protocol_error", kSettings +
                                        frame(1, 0, 1,
                                              "\x88\x40\x01"
                                              "a"
                                              "\x7f\x81\x1e" +
                                                  std::string(4000, 'x')) +
                                        frame(9, 4, 1, times(10'000, "\xbe"))),
        // Answers to a question nobody asked.
        std::pair("protocol_error", kSettings + frame(1, 5, 3, "\x88")),
        // A body before its head.
        std::pair("protocol_error", kSettings + frame(0, 1, 1, "early")),
        // A head without a status; one with a pseudo-header field that requests have.
        std::pair("protocol_error", kSettings + frame(1, 5, 1, std::string("\0\1a\1b", 5))),
        std::pair("protocol_error", kSettings + frame(1, 5, 1, "\x88\x84")),
        // A field that concerns a connection.
        std::pair("protocol_error", kSettings + frame(1, 5, 1,
                                                      std::string("\x88\0\x0a"
                                                                  "connection"
                                                                  "\5close",
                                                                  19))),
        // More than the stream's window.
        std::pair("protocol_error", kSettings + kHeaders200 + times(20, frame(0, 0, 1, std::string(16'384, 'x'))) +
                                        frame(0, 5, 1, std::string(16'384, 'x'))),
        // Silence after a head, and a proper answer.
        std::pair("deadline_exceeded", kSettings + kHeaders200),
        std::pair("200", kSettings + kHeaders200 + frame(0, 1, 1, "fine"))));

}  // namespace
}  // namespace penstock::http
