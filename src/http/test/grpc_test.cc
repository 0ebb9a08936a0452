// gRPC's framing, its head and its end, without a socket.
#include <gmock/gmock.h>

#include "codec/encoder.h"
#include "http/grpc_exchange.h"
#include "http/test/fake_exchange.h"
#include "rt/await.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string framed(std::string_view message, bool compressed = false) {
  auto prefix = grpc_prefix(compressed, message.size());
  return std::string(prefix.data(), prefix.size()) + std::string(message);
}

TEST(GrpcFrame, TakesTheOnlyMessage) {
  std::string body = framed("hello");
  auto frame = only_grpc_frame(body, 5);
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->bytes, "hello");
  EXPECT_FALSE(frame->compressed);
  EXPECT_TRUE(only_grpc_frame(framed(""), 5)->bytes.empty());
  EXPECT_TRUE(only_grpc_frame(framed("x", true), 5)->compressed);
}

TEST(GrpcFrame, RefusesWhatIsNotOneMessage) {
  EXPECT_EQ(only_grpc_frame("", 5).error().code, Errc::invalid_argument);
  EXPECT_EQ(only_grpc_frame(std::string(4, '\0'), 5).error().code, Errc::invalid_argument);
  EXPECT_EQ(only_grpc_frame(framed("hello").substr(0, 7), 5).error().code, Errc::invalid_argument);
  EXPECT_EQ(only_grpc_frame(framed("a") + framed("b"), 5).error().code, Errc::invalid_argument);
  EXPECT_EQ(only_grpc_frame(framed("hello!"), 5).error().code, Errc::resource_exhausted);
  std::string odd = framed("a");
  odd[0] = 2;
  EXPECT_THAT(only_grpc_frame(odd, 5).error().detail, HasSubstr("byte 2"));
}

TEST(GrpcFrame, ReadsMessagesInAnyPieces) {
  std::string body = framed("first") + framed("") + framed("third one");
  for (std::size_t piece = 1; piece <= body.size(); ++piece) {
    GrpcFrames frames(100);
    std::vector<std::string> got;
    for (std::size_t at = 0; at < body.size(); at += piece) {
      frames.feed(std::string_view(body).substr(at, piece));
      while (true) {
        auto next = frames.next();
        ASSERT_TRUE(next.has_value());
        if (!*next) break;
        got.emplace_back((*next)->bytes);
      }
    }
    EXPECT_THAT(got, testing::ElementsAre("first", "", "third one")) << piece;
    EXPECT_TRUE(frames.complete());
  }
}

TEST(GrpcFrame, RefusesALengthBeforeTheMessageComes) {
  GrpcFrames frames(100);
  frames.feed(std::string_view("\0\xff\xff\xff\xff", 5));
  EXPECT_EQ(frames.next().error().code, Errc::resource_exhausted);
}

TEST(GrpcFrame, KnowsAnUnfinishedMessage) {
  GrpcFrames frames(100);
  frames.feed(std::string_view("\0\0", 2));
  EXPECT_FALSE(frames.next().value().has_value());
  EXPECT_FALSE(frames.complete());
}

TEST(GrpcHead, ReadsTimeouts) {
  EXPECT_EQ(parse_grpc_timeout("100m"), 100ms);
  EXPECT_EQ(parse_grpc_timeout("2S"), 2s);
  EXPECT_EQ(parse_grpc_timeout("1H"), 1h);
  EXPECT_EQ(parse_grpc_timeout("3M"), 3min);
  EXPECT_EQ(parse_grpc_timeout("7u"), 7us);
  EXPECT_EQ(parse_grpc_timeout("99999999n"), 99999999ns);
  EXPECT_EQ(parse_grpc_timeout("0m"), 0ms);
  EXPECT_GT(parse_grpc_timeout("99999999H"), base::Duration(24h * 365 * 90));
  for (const char* wrong : {"", "m", "5", "-1m", "+1m", "1.5S", "123456789m", "5x", "5 m", " 5m"})
    EXPECT_FALSE(parse_grpc_timeout(wrong).has_value()) << wrong;
}

TEST(GrpcHead, KnowsItsContentTypes) {
  for (const char* good : {"application/grpc", "application/grpc+proto", "Application/gRPC", "application/grpc; a=b"})
    EXPECT_TRUE(is_grpc(good)) << good;
  for (const char* bad : {"", "application/json", "application/grpc-web", "application/grpc+json", "application/grp"})
    EXPECT_FALSE(is_grpc(bad)) << bad;
}

TEST(GrpcStatusTest, MapsEveryCode) {
  // In the order of Errc.
  constexpr std::array<int, 16> kWanted{1, 3, 4, 5, 6, 7, 16, 8, 9, 11, 12, 13, 14, 15, 14, 13};
  static_assert(static_cast<std::size_t>(Errc::protocol_error) + 1 == kWanted.size());
  for (std::size_t i = 0; i < kWanted.size(); ++i)
    EXPECT_EQ(static_cast<int>(grpc_status(static_cast<Errc>(i))), kWanted[i]) << i;
}

TEST(GrpcStatusTest, EncodesMessages) {
  EXPECT_EQ(grpc_message("plain 'text'"), "plain 'text'");
  EXPECT_EQ(grpc_message("100%\n\xc3\xa4\x7f"), "100%25%0A%C3%A4%7F");
  EXPECT_LE(grpc_message(std::string(100'000, '\n')).size(), kGrpcMessageBytesMax);
}

struct GrpcExchangeTest : testing::Test {
  rt::Loop loop;
  BodyCodec codec;

  void run(rt::Task<void> task) {
    bool over = false;
    loop.post([&] {
      rt::spawn(std::move(task), [&] {
        over = true;
        loop.stop();
      });
    });
    rt::Timer patience(loop);
    patience.arm_in(10s, [&] { loop.stop(); });
    loop.run();
    EXPECT_TRUE(over);
  }
  FakeExchange exchange(std::string body) {
    FakeExchange made(loop, "POST", "/a.B/C", std::move(body));
    made.field("content-type", "application/grpc");
    return made;
  }
};

rt::Task<void> echo(GrpcExchange& grpc, std::vector<std::string>& got) {
  if (auto opened = grpc.open(); !opened) {
    co_await grpc.refuse(grpc.head(), grpc_status(opened.error().code), opened.error().detail);
    co_return;
  }
  bool begun = false;
  while (true) {
    auto message = co_await grpc.read_next();
    if (!message) {
      if (begun) {
        co_await grpc.finish(grpc_status(message.error().code), message.error().detail);
      } else {
        co_await grpc.refuse(grpc.head(), grpc_status(message.error().code), message.error().detail);
      }
      co_return;
    }
    if (!*message) break;
    got.emplace_back(**message);
    if (!std::exchange(begun, true)) grpc.begin(grpc.head());
    std::array<std::string_view, 2> pieces{got.back(), "!"};
    co_await grpc.write(pieces);
  }
  co_await grpc.finish(GrpcStatus::ok);
}

TEST_F(GrpcExchangeTest, AnswersEachMessageAndEndsWithAStatus) {
  auto fake = exchange(framed("one") + framed(std::string(10'000, 'x')));
  fake.cut_body_into(7);
  GrpcExchange grpc(fake, codec, 20'000);
  std::vector<std::string> got;
  run(echo(grpc, got));
  EXPECT_EQ(fake.status(), 200);
  EXPECT_EQ(fake.answer_field("content-type"), "application/grpc");
  EXPECT_EQ(fake.answer(), framed("one!") + framed(std::string(10'000, 'x') + "!"));
  EXPECT_EQ(fake.answer_trailers().get("grpc-status"), "0");
  EXPECT_TRUE(fake.finished());
}

TEST_F(GrpcExchangeTest, ReadsCompressedMessagesAndAnswersInKind) {
  std::string text(5000, 'y');
  auto coded = codec::encode_body(codec::Coding::gzip, text);
  auto fake = exchange(framed(*coded, true) + framed("plain"));
  fake.field("grpc-encoding", "gzip");
  fake.field("grpc-accept-encoding", "identity, gzip");
  GrpcExchange grpc(fake, codec, 20'000);
  std::vector<std::string> got;
  run(echo(grpc, got));
  EXPECT_THAT(got, testing::ElementsAre(text, "plain"));
  EXPECT_EQ(fake.answer_field("grpc-encoding"), "gzip");
  GrpcFrames frames(20'000);
  frames.feed(fake.answer());
  auto first = frames.next().value().value();
  EXPECT_TRUE(first.compressed);
  EXPECT_LT(first.bytes.size(), 1000U);
  EXPECT_EQ(codec::decode_body(std::array{codec::Coding::gzip}, first.bytes, {}).value(), text + "!");
  EXPECT_FALSE(frames.next().value().value().compressed);
}

TEST_F(GrpcExchangeTest, RefusesABombAndAFalseFlag) {
  std::string bomb = *codec::encode_body(codec::Coding::gzip, std::string(100'000, 'z'));
  for (bool named : {true, false}) {
    auto fake = exchange(framed(bomb, true));
    if (named) fake.field("grpc-encoding", "gzip");
    GrpcExchange grpc(fake, codec, 20'000);
    std::vector<std::string> got;
    run(echo(grpc, got));
    EXPECT_EQ(fake.answer_trailers().get("grpc-status"), named ? "8" : "13");
  }
}

rt::Task<void> read_small(GrpcExchange& grpc, Errc& code) {
  EXPECT_TRUE(grpc.open());
  auto message = co_await grpc.read_one(100);
  code = message ? Errc::cancelled : message.error().code;
  co_await grpc.refuse(grpc.head(), GrpcStatus::ok, "");
}

// Whose client falls silent behind its first bytes.
class SilentExchange : public FakeExchange {
 public:
  SilentExchange(rt::Loop& loop, std::string body)
      : FakeExchange(loop, "POST", "/a.B/C", {}), stopped_(loop), sent_(std::move(body)) {
    field("content-type", "application/grpc");
  }
  rt::Task<Result<std::string_view>> read_piece(std::uint64_t) override {
    if (!std::exchange(given_, true)) co_return std::string_view(sent_);
    co_await stopped_;
    co_return fail(Errc::cancelled, "not read any more");
  }
  void stop_reading() override { stopped_.set(); }

 private:
  rt::Event stopped_;
  std::string sent_;
  bool given_ = false;
};

TEST_F(GrpcExchangeTest, DoesNotWaitForEverForTheRestOfAMessage) {
  SilentExchange fake(loop, framed("one") + framed("cut short").substr(0, 8));
  GrpcExchange grpc(fake, codec, 20'000, 10ms);
  std::vector<std::string> got;
  run(echo(grpc, got));
  EXPECT_THAT(got, testing::ElementsAre("one"));
  EXPECT_EQ(fake.answer_trailers().get("grpc-status"), "4");
}

TEST_F(GrpcExchangeTest, WaitsBetweenMessages) {
  SilentExchange fake(loop, framed("one"));
  GrpcExchange grpc(fake, codec, 20'000, 1ms);
  std::vector<std::string> got;
  rt::Timer later(loop);
  later.arm_in(50ms, [&] { fake.stop_reading(); });
  run(echo(grpc, got));
  EXPECT_EQ(fake.answer_trailers().get("grpc-status"), "1");
}

TEST_F(GrpcExchangeTest, BoundsAMessageThatIsToBeSmall) {
  std::string bomb = *codec::encode_body(codec::Coding::gzip, std::string(2000, 'z'));
  ASSERT_LT(bomb.size(), 100U);
  struct Case {
    std::string body;
    Errc code;
  };
  for (const Case& one : {Case{framed(std::string(100, 'x')), Errc::cancelled},
                          Case{framed(std::string(101, 'x')), Errc::resource_exhausted},
                          Case{framed(bomb, true), Errc::resource_exhausted}}) {
    auto fake = exchange(one.body);
    fake.field("grpc-encoding", "gzip");
    GrpcExchange grpc(fake, codec, 20'000);
    Errc code{};
    run(read_small(grpc, code));
    EXPECT_EQ(code, one.code);
  }
}

TEST_F(GrpcExchangeTest, RefusesWhatItDoesNotKnow) {
  auto fake = exchange(framed("x"));
  fake.field("grpc-encoding", "snappy");
  GrpcExchange grpc(fake, codec, 20'000);
  std::vector<std::string> got;
  run(echo(grpc, got));
  EXPECT_EQ(fake.answer_trailers().get("grpc-status"), "12");
  EXPECT_THAT(std::string(fake.answer_trailers().get("grpc-message")), HasSubstr("snappy"));
  EXPECT_EQ(fake.answer_field("grpc-accept-encoding"), kGrpcAccepted);
}

TEST_F(GrpcExchangeTest, IsUnfitForOtherContent) {
  FakeExchange fake(loop, "POST", "/a.B/C");
  fake.field("content-type", "application/json");
  GrpcExchange grpc(fake, codec, 100);
  ASSERT_TRUE(grpc.unfit().has_value());
  EXPECT_EQ(grpc.unfit()->status, 415);
}

}  // namespace
}  // namespace penstock::http
