// Calls in HTTP/2 against a server that does what each test says, over loopback.
#include <gmock/gmock.h>

#include "codec/encoder.h"
#include "http/client.h"
#include "http/h2_head.h"
#include "http/test/fake_h2_server.h"
#include "rt/await.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using wire::H2Error;
using ServerCall = FakeH2Server::Call;

constexpr std::string_view kPost = "POST /x HTTP/1.1\r\nHost: llm.example\r\nContent-Length: 5\r\n";
constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: llm.example\r\n";

struct Http2 : testing::Test {
  rt::Loop loop;
  FakeH2Server server{loop, [](ServerCall& call) { call.answer(200, "fine"); }};
  ClientPool pool{loop};
  rt::TaskScope scope{loop};
  ClientTimeouts timeouts{2s, 2s, 10s};
  Origin origin = [this] {
    Origin made;
    made.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", server.port()));
    made.connect_timeout = 2s;
    made.http2 = Http2Use::prior_knowledge;
    return made;
  }();
  std::shared_ptr<const Origin> to;
  std::vector<std::string> ended;  // bodies, or errors, in the order of their ends

  std::shared_ptr<const Origin> target() {
    if (!to) to = std::make_shared<const Origin>(std::move(origin));
    return to;
  }
  // One call to its end, as text: status and body, or the error.
  static rt::Task<std::string> ask(Http2& f, std::string_view head, std::string_view body) {
    ClientCall call(f.pool, f.target(), f.timeouts);
    auto sent = co_await call.send(head, {body});
    auto all = sent ? co_await call.read_all(64U << 20) : Result<std::string_view>(std::unexpected(sent.error()));
    if (!all) co_return fmt::format("{}: {}", to_string(all.error().code), all.error().detail);
    co_return fmt::format("{} {}", call.status(), *all);
  }
  static rt::Task<void> call(Http2& f, std::string_view head = kGet, std::string_view body = "") {
    std::string answer = co_await ask(f, head, body);
    f.ended.push_back(std::move(answer));
  }
  static rt::Task<void> calls(Http2& f, int count) {
    for (int i = 0; i < count; ++i) co_await call(f);
  }
  static rt::Task<void> pause(Http2& f, base::Duration time) {
    rt::Sleep sleep(f.loop, time);
    co_await sleep;
  }
  // Lets everything spawned end.
  void run() {
    auto whole = [](Http2& f) -> rt::Task<void> {
      co_await f.scope.idle();
      f.pool.close_all();
      co_await pause(f, 5ms);
      f.loop.stop();
    };
    rt::spawn(whole(*this));
    loop.run();
  }
  std::string one(std::string_view head = kGet, std::string_view body = "") {
    scope.spawn(call(*this, head, body));
    run();
    return ended.back();
  }
};

TEST_F(Http2, ManyCallsShareAConnection) {
  for (int i = 0; i < 50; ++i) scope.spawn(call(*this));
  run();
  EXPECT_THAT(ended, testing::AllOf(testing::SizeIs(50), testing::Each("200 fine")));
  EXPECT_EQ(server.connections.size(), 1U);
  PoolFigures figures = to->state->figures();
  EXPECT_EQ(figures.connects, 1U);
  EXPECT_EQ(figures.reused, 49U);
  EXPECT_EQ(figures.waits, 0U) << "they waited for a connection being made, not for a free one";
  EXPECT_EQ(figures.streams, 0U);
  EXPECT_EQ(figures.open, 0U) << "closed at the end";
  EXPECT_EQ(figures.shared, 0U);
  EXPECT_EQ(figures.idle, 0U);
}

TEST_F(Http2, SaysTheRequestAsHttp2DoesAndTheAnswerAsCallersExpectIt) {
  wire::H2Head seen;
  std::string body;
  server.handle = [&](ServerCall& call) {
    seen = call.head;
    call.on_ended = [&](ServerCall& whole) {
      body = whole.body;
      whole.answer(201, "made", {{"content-type", "text/plain"}, {"x-other", "1"}});
    };
  };
  auto asking = [](Http2& f) -> rt::Task<void> {
    ClientCall call(f.pool, f.target(), {});
    std::string head(kPost);
    head += "X-Thing:  a b \r\nConnection: close, x-hop\r\nX-Hop: 1\r\nTE: gzip\r\nKeep-Alive: 1\r\n";
    auto sent = co_await call.send(head, {std::string_view("he"), std::string_view("llo")});
    EXPECT_TRUE(sent.has_value());
    EXPECT_EQ(call.status(), 201);
    EXPECT_EQ(call.fields().get(wire::FieldId::content_type), "text/plain");
    EXPECT_EQ(call.fields().get("X-Other"), "1");
    auto all = co_await call.read_all(100);
    EXPECT_EQ(all.value(), "made");
  };
  scope.spawn(asking(*this));
  run();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/x");
  EXPECT_EQ(seen.scheme, "http");
  EXPECT_EQ(seen.fields.get("host"), "llm.example");
  EXPECT_EQ(seen.fields.get("x-thing"), "a b");
  EXPECT_EQ(seen.fields.get("content-length"), "5");
  for (const char* gone : {"connection", "x-hop", "te", "keep-alive"}) EXPECT_FALSE(seen.fields.has(gone)) << gone;
  EXPECT_EQ(body, "hello");
}

TEST_F(Http2, OpensFurtherConnectionsWhenFullAndThenWaits) {
  server.limits.streams_max = 2;
  server.handle = [](ServerCall& call) {
    auto later = [](ServerCall& here) -> rt::Task<void> {
      rt::Sleep sleep(here.connection.server.loop, 20ms);
      co_await sleep;
      here.answer(200, "fine");
    };
    rt::spawn(later(call));
  };
  origin.connections.max = 2;
  for (int i = 0; i < 10; ++i) scope.spawn(call(*this));
  run();
  EXPECT_THAT(ended, testing::AllOf(testing::SizeIs(10), testing::Each("200 fine")));
  EXPECT_EQ(server.connections.size(), 2U);
}

TEST_F(Http2, HoldsToOneStreamAtATime) {
  server.limits.streams_max = 1;
  origin.connections.max = 1;
  for (int i = 0; i < 10; ++i) scope.spawn(call(*this));
  run();
  EXPECT_THAT(ended, testing::AllOf(testing::SizeIs(10), testing::Each("200 fine")));
  EXPECT_EQ(server.connections.size(), 1U);
  EXPECT_THAT(server.closed, testing::Each(H2Error::no_error)) << "none was refused";
}

TEST_F(Http2, AGoodbyeCostsNoCall) {
  int goodbyes = 0;
  server.handle = [&](ServerCall& call) {
    // Of the first two connections only the first request is worked on; the rest is left to others.
    if (goodbyes < 2 && call.id == 1) {
      ++goodbyes;
      call.connection.session.goaway(H2Error::no_error);
    }
    call.answer(200, "fine");
  };
  scope.spawn(calls(*this, 1));
  run();
  for (int i = 0; i < 20; ++i) scope.spawn(call(*this));
  run();
  EXPECT_THAT(ended, testing::AllOf(testing::SizeIs(21), testing::Each("200 fine")));
  EXPECT_EQ(to->state->figures().goaways, 2U);
}

TEST_F(Http2, StreamsBelowTheGoodbyeEnd) {
  server.handle = [&](ServerCall& call) {
    call.begin(200);
    if (server.requests == 1) call.connection.session.goaway(H2Error::no_error);
    auto later = [](ServerCall& here) -> rt::Task<void> {
      rt::Sleep sleep(here.connection.server.loop, 20ms);
      co_await sleep;
      here.say("all of it", true);
    };
    rt::spawn(later(call));
  };
  scope.spawn(call(*this));
  auto second = [](Http2& f) -> rt::Task<void> {
    co_await pause(f, 10ms);
    co_await call(f);
  };
  scope.spawn(second(*this));
  run();
  EXPECT_THAT(ended, ElementsAre("200 all of it", "200 all of it"));
  EXPECT_EQ(server.connections.size(), 2U);
}

TEST_F(Http2, ARefusedRequestIsSentOnceMore) {
  server.handle = [&](ServerCall& call) {
    if (server.requests == 1) return call.reset(H2Error::refused_stream);
    call.answer(200, "fine");
  };
  EXPECT_EQ(one(kPost, "hello"), "200 fine");
  EXPECT_EQ(server.connections.size(), 1U);
}

TEST_F(Http2, ARequestThatIsRefusedTwiceFails) {
  server.handle = [&](ServerCall& call) { call.reset(H2Error::refused_stream); };
  EXPECT_THAT(one(kPost, "hello"), HasSubstr("unavailable: the other side did not take the request"));
  EXPECT_EQ(server.requests, 2);
}

struct Reset {
  H2Error code;
  bool after_head;
  const char* error;
};
struct Resets : Http2, testing::WithParamInterface<Reset> {};

TEST_P(Resets, HaveTheirError) {
  server.handle = [&](ServerCall& call) {
    if (server.requests > 1) return call.answer(200, "fine");
    if (GetParam().after_head) {
      call.begin(200);
      call.say("some");
    }
    auto later = [](ServerCall& here) -> rt::Task<void> {
      rt::Sleep sleep(here.connection.server.loop, 10ms);
      co_await sleep;
      here.reset(GetParam().code);
    };
    rt::spawn(later(call));
  };
  EXPECT_THAT(one(kPost, "hello"), testing::StartsWith(GetParam().error));
  EXPECT_EQ(server.requests, 1) << "nobody knows how far it was worked on";
  EXPECT_EQ(to->state->figures().resets, 1U);
  EXPECT_EQ(one(), "200 fine");
}
INSTANTIATE_TEST_SUITE_P(All, Resets,
                         testing::Values(Reset{H2Error::cancel, false, "unavailable: "},
                                         Reset{H2Error::cancel, true, "data_loss: "},
                                         Reset{H2Error::internal_error, false, "unavailable: "},
                                         Reset{H2Error::internal_error, true, "data_loss: "},
                                         Reset{H2Error::no_error, true, "data_loss: "},
                                         Reset{H2Error::enhance_your_calm, false, "unavailable: "},
                                         Reset{H2Error::protocol_error, false, "protocol_error: "},
                                         Reset{H2Error::http_1_1_required, false, "protocol_error: "}));

TEST_F(Http2, AConnectionThatEndsFailsItsCalls) {
  server.handle = [&](ServerCall& call) {
    if (call.head.path == "/begun") {
      call.begin(200);
      call.say("some");
    }
    if (server.requests < 2) return;
    auto later = [](FakeH2Server& all) -> rt::Task<void> {
      rt::Sleep sleep(all.loop, 10ms);
      co_await sleep;
      all.connections.front()->stream.close();
    };
    rt::spawn(later(server));
  };
  scope.spawn(call(*this, "GET /begun HTTP/1.1\r\nHost: x\r\n"));
  scope.spawn(call(*this));
  // The second call is the connection's second: it is sent again, once, and fails again.
  run();
  EXPECT_THAT(ended, Contains(HasSubstr("data_loss: the other side closed the connection")));
}

TEST_F(Http2, AConnectionThatClosedMeanwhileIsReplaced) {
  auto twice = [](Http2& f) -> rt::Task<void> {
    co_await call(f);
    f.server.handle = [&f](ServerCall& here) {
      if (f.server.connections.size() == 1) return here.connection.stream.close();
      here.answer(200, "again");
    };
    co_await call(f);
  };
  scope.spawn(twice(*this));
  run();
  EXPECT_THAT(ended, ElementsAre("200 fine", "200 again"));
}

TEST_F(Http2, ARequestThatMayHaveBeenTakenIsNotSentAgain) {
  auto twice = [](Http2& f, std::function<void(ServerCall&)> handle) -> rt::Task<void> {
    co_await call(f);
    f.server.handle = std::move(handle);
    co_await call(f);
  };
  auto close_later = [](net::Stream& stream, base::Duration after) -> rt::Task<void> {
    co_await rt::Sleep(stream.loop(), after);
    stream.close();
  };
  timeouts.first_byte = 5s;
  int here = 0;
  scope.spawn(twice(*this, [&](ServerCall& asked) {
    ++here;
    asked.connection.session.ping();
    asked.connection.schedule();
    rt::spawn(close_later(asked.connection.stream, 20ms));
  }));
  run();
  EXPECT_EQ(here, 1);
  EXPECT_THAT(ended.back(), HasSubstr("unavailable"));
}

TEST_F(Http2, ARequestThatWaitedForLongIsNotSentAgain) {
  auto twice = [](Http2& f) -> rt::Task<void> {
    co_await call(f);
    f.server.handle = [](ServerCall& asked) {
      auto close_later = [](net::Stream& stream) -> rt::Task<void> {
        co_await rt::Sleep(stream.loop(), 1500ms);
        stream.close();
      };
      rt::spawn(close_later(asked.connection.stream));
    };
    co_await call(f);
  };
  timeouts.first_byte = 5s;
  scope.spawn(twice(*this));
  run();
  EXPECT_EQ(server.requests, 2);
  EXPECT_THAT(ended.back(), HasSubstr("unavailable"));
}

TEST_F(Http2, AFreshConnectionThatEndsIsNoReasonToSendAgain) {
  server.handle = [](ServerCall& call) { call.connection.stream.close(); };
  EXPECT_THAT(one(), HasSubstr("unavailable: the other side closed the connection"));
  EXPECT_EQ(server.requests, 1);
}

TEST_F(Http2, ASlowReaderHoldsBackOnlyItself) {
  server.handle = [](ServerCall& call) { call.answer(200, std::string(4U << 20, 'x')); };
  auto slow = [](Http2& f) -> rt::Task<void> {
    ClientCall call(f.pool, f.target(), {});
    auto sent = co_await call.send(kGet, "");
    EXPECT_TRUE(sent.has_value());
    for (int i = 0; i < 3; ++i) f.scope.spawn(Http2::call(f));
    while (f.ended.size() < 3) co_await pause(f, 5ms);
    const auto& waiting = f.server.connections.front()->calls.at(1)->out;
    EXPECT_GE(waiting.size(), (4U << 20) - 512 * 1024) << "no more than the window was sent to who does not read";
    auto all = co_await call.read_all(8U << 20);
    EXPECT_EQ(all.value().size(), 4U << 20);
  };
  scope.spawn(slow(*this));
  run();
  for (const std::string& answer : ended) EXPECT_EQ(answer.size(), (4U << 20) + 4);
  EXPECT_EQ(server.connections.size(), 1U);
}

TEST_F(Http2, PiecesComeOneByOne) {
  server.handle = [](ServerCall& call) {
    call.begin(200);
    auto later = [](ServerCall& here) -> rt::Task<void> {
      for (char c = 'a'; c <= 'e'; ++c) {
        here.say(std::string(1, c), c == 'e');
        rt::Sleep sleep(here.connection.server.loop, 5ms);
        co_await sleep;
        if (c == 'd') here.trailers = {{"x-sum", "15"}};
      }
    };
    rt::spawn(later(call));
  };
  auto reader = [](Http2& f) -> rt::Task<void> {
    ClientCall call(f.pool, f.target(), {});
    auto sent = co_await call.send(kGet, "");
    EXPECT_TRUE(sent.has_value());
    while (true) {
      auto piece = co_await call.read();
      EXPECT_TRUE(piece.has_value());
      if (!piece || piece->empty()) break;
      f.ended.emplace_back(*piece);
    }
    EXPECT_EQ(call.trailers().get("x-sum"), "15");
  };
  scope.spawn(reader(*this));
  run();
  EXPECT_THAT(ended, ElementsAre("a", "b", "c", "d", "e"));
}

TEST_F(Http2, CancellingEndsTheStreamAndNotTheConnection) {
  server.handle = [&](ServerCall& call) {
    if (server.requests > 1) return call.answer(200, "fine");
    call.begin(200);
    call.say("some");
  };
  auto leaving = [](Http2& f) -> rt::Task<void> {
    {
      ClientCall call(f.pool, f.target(), {});
      auto sent = co_await call.send(kGet, "");
      EXPECT_TRUE(sent.has_value());
      auto first = co_await call.read();
      EXPECT_EQ(first.value(), "some");
      auto cancelling = [](Http2& g, ClientCall& running) -> rt::Task<void> {
        co_await pause(g, 5ms);
        running.cancel();
      };
      f.scope.spawn(cancelling(f, call));
      auto next = co_await call.read();
      EXPECT_EQ(next.error().code, Errc::cancelled);
    }
    co_await Http2::call(f);
  };
  scope.spawn(leaving(*this));
  run();
  EXPECT_THAT(ended, ElementsAre("200 fine"));
  EXPECT_THAT(server.closed, ElementsAre(H2Error::cancel, H2Error::no_error));
  EXPECT_EQ(server.connections.size(), 1U);
}

TEST_F(Http2, ACallThatGivesUpBeforeItsRequestWentOutLeavesTheConnectionWhole) {
  auto leaving = [](Http2& f) -> rt::Task<void> {
    co_await call(f);
    {
      ClientCall gone(f.pool, f.target(), {});
      auto sending = [](ClientCall& running) -> rt::Task<void> {
        auto sent = co_await running.send(kPost, "hello");
        EXPECT_EQ(sent.error().code, Errc::cancelled);
      };
      rt::TaskScope inner(f.loop);
      inner.spawn(sending(gone));
      gone.cancel();
      co_await inner.idle();
    }
    co_await call(f);
  };
  scope.spawn(leaving(*this));
  run();
  EXPECT_THAT(ended, ElementsAre("200 fine", "200 fine"));
  EXPECT_EQ(server.requests, 2);
  EXPECT_THAT(server.closed, ElementsAre(H2Error::no_error, H2Error::no_error));
  EXPECT_EQ(server.connections.size(), 1U);
}

TEST_F(Http2, SilenceEndsTheCallAndNotTheConnection) {
  timeouts = {20ms, 20ms, 1s};
  server.handle = [&](ServerCall& call) {
    if (server.requests > 2) return call.answer(200, "fine");
    if (call.head.path == "/begun") call.begin(200);
  };
  scope.spawn(call(*this, "GET /begun HTTP/1.1\r\nHost: x\r\n"));
  scope.spawn(call(*this));
  run();
  EXPECT_THAT(ended, testing::Each("deadline_exceeded: no answer in time"));
  EXPECT_EQ(server.connections.size(), 1U);
}

TEST_F(Http2, InterimAnswersAreNoAnswers) {
  server.handle = [](ServerCall& call) {
    for (int i = 0; i < 16; ++i) call.connection.session.inform(call.id, 103);
    call.answer(200, "fine");
  };
  EXPECT_EQ(one(), "200 fine");
}

TEST_F(Http2, InterimAnswersEnd) {
  server.handle = [](ServerCall& call) {
    for (int i = 0; i < 17; ++i) call.connection.session.inform(call.id, 103);
    call.answer(200, "fine");
  };
  EXPECT_EQ(one(), "protocol_error: interim answers without end");
}

TEST_F(Http2, ALengthIsHeldTo) {
  server.handle = [](ServerCall& call) { call.answer(200, "four", {{"content-length", "5"}}); };
  EXPECT_THAT(one(), testing::StartsWith("protocol_error: "));
}

TEST_F(Http2, AnAnswerToHeadHasNoBody) {
  server.handle = [](ServerCall& call) {
    std::vector<wire::H2Field> fields{{"content-length", "5"}};
    call.connection.session.respond(call.id, 200, fields, false);
    call.connection.schedule();
  };
  EXPECT_EQ(one("HEAD /x HTTP/1.1\r\nHost: x\r\n"), "200 ");
}

TEST_F(Http2, AHeadBeyondTheLimitIsRefused) {
  std::string large(60'000, 'x');
  server.handle = [&](ServerCall& call) {
    if (server.requests > 1) return call.answer(200, "fine");
    call.answer(200, "fine", {{"a", large}, {"b", large}, {"c", large}});
  };
  // The fake cannot send more than 64 KiB of fields at once: it gives up, and so does the call.
  EXPECT_NE(one(), "200 fine");
  EXPECT_EQ(one(), "200 fine");
}

TEST_F(Http2, CodedAnswersAreDecoded) {
  std::string text(300'000, 'z');
  std::string coded = codec::encode_body(codec::Coding::gzip, text).value();
  server.handle = [&](ServerCall& call) {
    std::string body = call.head.path == "/cut" ? coded.substr(0, coded.size() - 4) : coded;
    call.answer(200, body, {{"content-encoding", "gzip"}});
  };
  EXPECT_EQ(one(), "200 " + text);
  EXPECT_THAT(one("GET /cut HTTP/1.1\r\nHost: x\r\n"), testing::StartsWith("data_loss"));
}

TEST_F(Http2, AnIdleConnectionIsClosed) {
  origin.connections.idle = 20ms;
  auto later = [](Http2& f) -> rt::Task<void> {
    co_await call(f);
    EXPECT_EQ(f.pool.idle(), 1U);
    EXPECT_EQ(f.to->state->figures().idle, 1U);
    co_await pause(f, 60ms);
    EXPECT_EQ(f.pool.idle(), 0U);
    EXPECT_EQ(f.server.open(), 0U);
    EXPECT_EQ(f.to->state->figures().open, 0U);
  };
  scope.spawn(later(*this));
  run();
}

TEST_F(Http2, AConnectionIsReplacedAfterItsNumberOfCalls) {
  origin.connections.requests = 3;
  scope.spawn(calls(*this, 7));
  run();
  EXPECT_THAT(ended, testing::AllOf(testing::SizeIs(7), testing::Each("200 fine")));
  EXPECT_EQ(server.connections.size(), 3U);
}

TEST_F(Http2, WhoeverWaitsForAConnectionThatCannotBeMadeHearsItAtOnce) {
  origin.url.port = 1;
  for (int i = 0; i < 20; ++i) scope.spawn(call(*this));
  run();
  EXPECT_THAT(ended, testing::AllOf(testing::SizeIs(20), testing::Each(testing::StartsWith("unavailable"))));
  EXPECT_EQ(to->state->figures().connects, 1U);
}

struct Uploading : Http2 {
  struct Outcome {
    Result<void> sent;
    std::size_t written = 0;
    bool early = false;
    std::string answer;
  };
  static rt::Task<void> upload(Uploading& f, std::size_t bytes, std::size_t step, Outcome& out) {
    ClientCall call(f.pool, f.target(), f.timeouts);
    out.sent = co_await call.start("POST /up HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n", std::nullopt);
    std::string piece(step, 'u');
    while (out.sent && out.written < bytes && !call.answered()) {
      out.sent = co_await call.write(piece);
      if (out.sent) out.written += piece.size();
    }
    out.early = call.answered();
    if (!out.sent) co_return;
    out.sent = co_await call.finish();
    if (!out.sent) co_return;
    auto all = co_await call.read_all(1000);
    out.answer = all ? fmt::format("{} {}", call.status(), *all) : std::string(to_string(all.error().code));
  }
};

TEST_F(Uploading, ArrivesWholeAndInItsTime) {
  server.limits.stream_window_bytes = 70'000;
  server.handle = [](ServerCall& call) {
    call.on_ended = [](ServerCall& whole) { whole.answer(200, fmt::format("{}", whole.body.size())); };
  };
  Outcome out;
  scope.spawn(upload(*this, 5'000'000, 50'000, out));
  run();
  EXPECT_EQ(out.answer, "200 5000000");
  EXPECT_FALSE(out.early);
}

TEST_F(Uploading, WaitsForAServerThatDoesNotRead) {
  server.limits.stream_window_bytes = 70'000;
  server.handle = [](ServerCall& call) {
    call.reading = false;
    call.on_ended = [](ServerCall& whole) { whole.answer(200, fmt::format("{}", whole.body.size())); };
  };
  Outcome out;
  scope.spawn(upload(*this, 1'000'000, 10'000, out));
  auto opener = [](Uploading& f, Outcome& o) -> rt::Task<void> {
    co_await pause(f, 50ms);
    EXPECT_LE(o.written, 70'000U);
    EXPECT_GE(o.written, 50'000U);
    ServerCall& call = *f.server.connections.front()->calls.begin()->second;
    call.reading = true;
    call.connection.session.consume(call.id, call.body.size());
    call.connection.schedule();
  };
  scope.spawn(opener(*this, out));
  run();
  EXPECT_EQ(out.answer, "200 1000000");
}

TEST_F(Uploading, AServerThatNeverReadsIsNotWaitedForForEver) {
  timeouts = {1s, 30ms, 5s};
  server.handle = [](ServerCall& call) { call.reading = false; };
  Outcome out;
  auto patient = [](Uploading& f, Outcome& o) -> rt::Task<void> {
    co_await upload(f, 10'000'000, 100'000, o);
    co_await pause(f, 10ms);
  };
  scope.spawn(patient(*this, out));
  run();
  EXPECT_EQ(out.sent.error().code, Errc::deadline_exceeded);
  EXPECT_THAT(server.closed, ElementsAre(H2Error::cancel));
}

TEST_F(Uploading, AnEarlyAnswerEndsIt) {
  server.handle = [](ServerCall& call) {
    call.reading = false;
    call.answer(413, "too much");
  };
  Outcome out;
  auto twice = [](Uploading& f, Outcome& o) -> rt::Task<void> {
    co_await upload(f, 100'000'000, 100'000, o);
    co_await call(f);
  };
  scope.spawn(twice(*this, out));
  run();
  EXPECT_TRUE(out.early);
  EXPECT_LT(out.written, 1'000'000U);
  EXPECT_EQ(out.answer, "413 too much");
  EXPECT_THAT(ended, ElementsAre("413 too much")) << "the connection goes on";
  EXPECT_EQ(server.connections.size(), 1U);
}

TEST_F(Http2, AnEarlyAnswerToAWholeBodyEndsIt) {
  server.handle = [](ServerCall& call) {
    call.reading = false;
    call.answer(413, "too much");
  };
  std::string large(20'000'000, 'x');
  EXPECT_EQ(one("POST /x HTTP/1.1\r\nHost: x\r\n", large), "413 too much");
}

TEST(H2RequestHead, IsTheSameSaidDifferently) {
  std::string names;
  auto fields =
      h2_request_head("GET /a?b=c HTTP/1.1\r\nHOST: h:1\r\nX-A: 1\r\nte: Trailers\r\nUpgrade: h2c\r\n", "https", names);
  ASSERT_TRUE(fields.has_value());
  std::string text;
  for (const wire::H2Field& field : *fields) text += fmt::format("{}={};", field.name, field.value);
  EXPECT_EQ(text, ":method=GET;:scheme=https;:authority=h:1;:path=/a?b=c;x-a=1;te=Trailers;");
  EXPECT_FALSE(h2_request_head("GET\r\n", "http", names).has_value());
  EXPECT_FALSE(h2_request_head("GET / HTTP/1.1\r\nno field\r\n", "http", names).has_value());
  EXPECT_EQ(h2_request_head("GET / HTTP/1.1\r\na: " + std::string(70'000, 'x'), "http", names).error().code,
            Errc::out_of_range);
}

}  // namespace
}  // namespace penstock::http
