// Bodies in pieces, from a ClientCall to a server's read_piece(), over loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "codec/encoder.h"
#include "http/client.h"
#include "http/server.h"
#include "net/acceptor.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

std::string text_of(std::size_t size) {
  std::string text;
  for (std::uint32_t i = 0; text.size() < size; ++i) text += std::to_string(i * 2654435761U);
  text.resize(size);
  return text;
}

std::string noise_of(std::size_t size) {
  std::minstd_rand random;
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(random() >> 8);
  return noise;
}

// "/count" reads all and says how much in how large pieces; "/refuse" answers 413 after the first piece; "/drop"
// closes;
// "/coded" answers in gzip, "/swelling" in few bytes that become many, "/broken" in something that is none.
rt::Task<void> take(Exchange& exchange) {
  std::string_view path = exchange.request().path;
  std::size_t all = 0;
  std::size_t largest = 0;
  while (true) {
    auto piece = co_await exchange.read_piece(UINT64_MAX);
    if (!piece) co_return;
    all += piece->size();
    largest = std::max(largest, piece->size());
    if (piece->empty() || path == "/refuse" || path == "/drop") break;
  }
  if (path == "/drop") {
    exchange.abort();
    co_return;
  }
  ResponseHead head(path == "/refuse" ? 413 : 200);
  std::string body = fmt::format("{} bytes, pieces of {}", all, largest <= 64 * 1024 ? "64 KiB" : "more");
  if (path == "/coded") body = codec::encode_body(codec::Coding::gzip, text_of(200'000)).value();
  if (path == "/swelling")
    body = codec::encode_body(codec::Coding::gzip, noise_of(300'000) + std::string(20U << 20, ' ')).value();
  if (path == "/coded" || path == "/broken" || path == "/swelling") head.add("content-encoding", "gzip");
  co_await exchange.respond(std::move(head), body);
}

struct Uploads : testing::Test {
  rt::Loop loop;
  Server server{loop, take, [](int, std::string_view, const std::string& detail) { return detail; },
                [] {
                  ServerLimits limits;
                  limits.message.body_bytes_max = UINT64_MAX;
                  return limits;
                }()};
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint& peer) {
        server.accept(fd, peer);
      }).value();
  ClientPool pool{loop};

  struct Answer {
    Result<void> sent;
    int status = 0;
    Result<std::string> body;
    bool in_pieces = false;  // the body is only counted
    std::size_t read = 0;
    std::size_t largest = 0;
    bool early = false;
    std::size_t written = 0;
    std::size_t kept = 0;  // connections, afterwards
  };

  // Sends `size` bytes in pieces of `piece`, with their length or in chunks.
  Answer send(const std::string& path, std::size_t size, std::size_t piece, bool chunked, std::string fields = {}) {
    return send_as(path, size, piece, chunked ? std::nullopt : std::optional<std::uint64_t>(size), std::move(fields));
  }

  // The head says `length`, whatever the body's is.
  Answer send_as(const std::string& path, std::size_t size, std::size_t piece, std::optional<std::uint64_t> length,
                 std::string fields, bool in_pieces = false) {
    Answer answer;
    answer.in_pieces = in_pieces;
    auto all = [](Uploads& f, std::string head, std::size_t bytes, std::size_t step, std::optional<std::uint64_t> said,
                  Answer& out) -> rt::Task<void> {
      co_await f.upload(std::move(head), bytes, step, said, out);
      out.kept = f.pool.idle();
      f.pool.close_all();
      co_await f.server.drain(std::chrono::steady_clock::now() + 1s);
      f.loop.stop();
    };
    std::string framing = length ? fmt::format("content-length: {}\r\n", *length) : "transfer-encoding: chunked\r\n";
    rt::spawn(all(*this, fmt::format("POST {} HTTP/1.1\r\nhost: x\r\n{}{}", path, fields, framing), size, piece, length,
                  answer));
    loop.run();
    return answer;
  }

  rt::Task<void> upload(std::string head, std::size_t size, std::size_t step, std::optional<std::uint64_t> length,
                        Answer& out) {
    Origin origin;
    origin.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port()));
    ClientCall call(pool, std::make_shared<const Origin>(std::move(origin)), {});
    out.sent = co_await call.start(head, length);
    std::string piece(step, 'x');
    while (out.sent && out.written < size && !call.answered()) {
      std::string_view next = std::string_view(piece).substr(0, std::min(step, size - out.written));
      out.sent = co_await call.write(next);
      out.written += next.size();
    }
    out.early = call.answered();
    if (out.sent) out.sent = co_await call.finish();
    if (!out.sent) co_return;
    out.status = call.status();
    while (out.in_pieces) {
      auto got = co_await call.read();
      if (!got || got->empty()) co_return;
      out.read += got->size();
      out.largest = std::max(out.largest, got->size());
    }
    auto body = co_await call.read_all(1'000'000);
    if (body) {
      out.body = std::string(*body);
    } else {
      out.body = std::unexpected(body.error());
    }
  }
};

struct Shape {
  std::size_t size;
  std::size_t piece;
  bool chunked;
};

class UploadShapes : public Uploads, public testing::WithParamInterface<Shape> {};

TEST_P(UploadShapes, ArriveWhole) {
  auto [size, piece, chunked] = GetParam();
  Answer answer = send("/count", size, piece, chunked);
  ASSERT_TRUE(answer.sent) << answer.sent.error().detail;
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.value_or(""), fmt::format("{} bytes, pieces of 64 KiB", size));
  EXPECT_EQ(answer.kept, 1U) << "the connection can be used again";
}

INSTANTIATE_TEST_SUITE_P(All, UploadShapes,
                         testing::Values(Shape{0, 1, true}, Shape{1, 1, false}, Shape{1000, 7, false},
                                         Shape{1000, 7, true}, Shape{5'000'000, 100'000, false},
                                         Shape{5'000'000, 100'000, true}, Shape{3'000'000, 3'000'000, true}));

TEST_F(Uploads, AnEarlyAnswerEndsTheUpload) {
  Answer answer = send("/refuse", 500'000'000, 100'000, false);
  ASSERT_TRUE(answer.sent) << answer.sent.error().detail;
  EXPECT_TRUE(answer.early);
  EXPECT_EQ(answer.status, 413);
  EXPECT_LT(answer.written, 500'000'000U);
  EXPECT_EQ(answer.kept, 0U) << "a connection with half a request on it";
}

class WrongLength : public Uploads, public testing::WithParamInterface<std::size_t> {};

TEST_P(WrongLength, IsNeverTakenForTheBodysOwn) {
  Answer answer = send_as("/count", GetParam(), 100, 1000, "");
  ASSERT_FALSE(answer.sent);
  EXPECT_EQ(answer.sent.error().code, Errc::invalid_argument);
  EXPECT_EQ(answer.kept, 0U) << "the upstream waits for the rest of a request on it";
}

INSTANTIATE_TEST_SUITE_P(All, WrongLength, testing::Values(0, 999, 1001));

TEST_F(Uploads, AConnectionThatClosesIsAnError) {
  Answer answer = send("/drop", 500'000'000, 100'000, false);
  ASSERT_FALSE(answer.sent);
  EXPECT_EQ(answer.sent.error().code, Errc::unavailable);
}

TEST_F(Uploads, AClientThatWaitsForLeaveGetsIt) {
  Answer answer = send("/count", 1000, 1000, false, "expect: 100-continue\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.value_or(""), "1000 bytes, pieces of 64 KiB");
}

TEST_F(Uploads, ACodedAnswerIsReadDecoded) {
  Answer answer = send("/coded", 10, 10, false);
  ASSERT_TRUE(answer.sent);
  EXPECT_EQ(answer.body.value_or(""), text_of(200'000));
}

TEST_F(Uploads, AnAnswerThatSwellsIsDecodedAsItIsRead) {
  Answer pieces = send_as("/swelling", 10, 10, 10, "", true);
  EXPECT_EQ(pieces.read, 300'000U + (20U << 20));
  EXPECT_LE(pieces.largest, (1U << 20) + 64 * 1024);
}

TEST_F(Uploads, TheLimitOfAWholeAnswerIsThatOfItsDecodedBytes) {
  Answer whole = send("/swelling", 10, 10, false);
  ASSERT_TRUE(whole.sent);
  ASSERT_FALSE(whole.body);
  EXPECT_EQ(whole.body.error().code, Errc::out_of_range);
}

TEST_F(Uploads, AnAnswerThatIsNotWhatItsCodingSaysIsAnError) {
  Answer answer = send("/broken", 10, 10, false);
  EXPECT_FALSE(answer.sent && answer.body);
}

}  // namespace
}  // namespace penstock::http
