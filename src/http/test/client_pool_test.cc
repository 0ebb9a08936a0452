#include "http/client_pool.h"

#include <gmock/gmock.h>

#include "http/client.h"
#include "http/server.h"
#include "net/acceptor.h"
#include "net/test/certificate.h"
#include "net/test/full_listener.h"
#include "rt/await.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: x\r\n";

// An upstream on the same loop that counts what comes and may be told to wait with its answers.
struct Pool : testing::Test {
  rt::Loop loop;
  int requests = 0;
  int connections = 0;  // ever
  bool slow = false;
  std::shared_ptr<net::TlsContext> tls;
  Server server{loop, [this](Exchange& x) { return answer(x); },
                [](int, std::string_view, const std::string& detail) { return detail; }, ServerLimits{}};
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint& peer) {
        ++connections;
        server.accept(fd, peer, std::make_shared<const ListenerOptions>(tls));
      }).value();
  ClientPool pool{loop};
  rt::TaskScope scope{loop};
  Origin origin = [this] {
    Origin made;
    made.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port()));
    made.connect_timeout = 2s;
    return made;
  }();
  std::vector<std::string> ended;  // the calls, in the order of their ends: name or name and error

  rt::Task<void> answer(Exchange& x) {
    ++requests;
    auto body = co_await x.read_body(1000);
    if (slow) {
      rt::Sleep pause(loop, 20ms);
      co_await pause;
    }
    ResponseHead head(200);
    co_await x.respond(std::move(head), "fine");
  }
  std::shared_ptr<const Origin> made() { return std::make_shared<const Origin>(std::move(origin)); }

  static rt::Task<void> call(Pool& f, std::shared_ptr<const Origin> to, std::string name,
                             ClientCall** running = nullptr) {
    ClientCall call(f.pool, std::move(to), {});
    if (running != nullptr) *running = &call;
    auto sent = co_await call.send(kGet, "");
    auto all = sent ? co_await call.read_all(100) : Result<std::string_view>(std::unexpected(sent.error()));
    if (running != nullptr) *running = nullptr;
    f.ended.push_back(all ? name : fmt::format("{} {}: {}", name, to_string(all.error().code), all.error().detail));
  }
  // Lets everything spawned end, and `more` after it.
  void run(rt::Task<void> more) {
    auto whole = [](Pool& f, rt::Task<void> then) -> rt::Task<void> {
      co_await f.scope.idle();
      co_await then;
      f.pool.close_all();
      co_await f.server.drain(std::chrono::steady_clock::now() + 1s);
      f.loop.stop();
    };
    rt::spawn(whole(*this, std::move(more)));
    loop.run();
  }
  static rt::Task<void> nothing() { co_return; }
  void run() { run(nothing()); }
  void after(base::Duration delay, std::function<void()> work) {
    auto later = [](Pool& f, base::Duration by, std::function<void()> then) -> rt::Task<void> {
      rt::Sleep pause(f.loop, by);
      co_await pause;
      then();
    };
    scope.spawn(later(*this, delay, std::move(work)));
  }
};

TEST_F(Pool, ConnectionsForUpgradesAreCountedWithTheOthers) {
  auto for_upgrades = made();
  origin.state = std::make_unique<OriginState>();
  origin.for_upgrades = for_upgrades;
  auto to = made();
  scope.spawn(call(*this, to, "a"));
  scope.spawn(call(*this, for_upgrades, "b"));
  run();
  EXPECT_EQ(to->state->figures().connects, 1U);
  EXPECT_EQ(figures_of(*to).connects, 2U);
}

TEST_F(Pool, CallsWaitInLineForTheConnectionsThereMayBe) {
  slow = true;
  origin.connections.max = 2;
  auto to = made();
  for (const char* name : {"a", "b", "c", "d", "e"}) scope.spawn(call(*this, to, name));
  run();
  EXPECT_THAT(ended, ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_EQ(connections, 2);
  PoolFigures figures = to->state->figures();
  EXPECT_EQ(figures.connects, 2U);
  EXPECT_EQ(figures.waits, 3U);
  EXPECT_EQ(figures.reused, 3U);
  EXPECT_EQ(figures.refusals, 0U);
  EXPECT_EQ(figures.idle, 0U);
  EXPECT_EQ(figures.open, 0U) << "closed at the end";
}

TEST_F(Pool, RefusesWhenTheLineIsFull) {
  slow = true;
  origin.connections.max = 1;
  origin.connections.waiting = 1;
  auto to = made();
  for (const char* name : {"a", "b", "c"}) scope.spawn(call(*this, to, name));
  run();
  ASSERT_EQ(ended.size(), 3U);
  EXPECT_THAT(ended[0], HasSubstr("c backpressure: all 1 connections to http://127.0.0.1:"));
  EXPECT_EQ(ended[1], "a");
  EXPECT_EQ(ended[2], "b");
  EXPECT_EQ(to->state->figures().refusals, 1U);
}

TEST_F(Pool, AWaitInLineEndsAtItsTimeAndWhenCancelled) {
  origin.connections.max = 1;
  origin.connect_timeout = 40ms;
  auto to = made();
  // Somebody holds the one connection.
  auto holder = [](Pool& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    auto held = co_await f.pool.open(o, f.loop.now() + 1s, nullptr);
    EXPECT_TRUE(held.has_value());
    ClientCall* leaving = nullptr;
    f.scope.spawn(call(f, o, "late"));
    f.scope.spawn(call(f, o, "leaving", &leaving));
    EXPECT_NE(leaving, nullptr);
    leaving->cancel();
    rt::Sleep pause(f.loop, 100ms);
    co_await pause;
    EXPECT_EQ(f.ended.size(), 2U);
    f.scope.spawn(call(f, o, "next"));
    held->reset();
  };
  scope.spawn(holder(*this, to));
  run();
  ASSERT_EQ(ended.size(), 3U);
  EXPECT_THAT(ended[0], HasSubstr("leaving cancelled"));
  EXPECT_THAT(ended[1], HasSubstr("late backpressure"));
  EXPECT_EQ(ended[2], "next") << "a connection that ended makes room";
}

TEST_F(Pool, ClosesWhatWasKeptForTooLong) {
  origin.connections.idle = 30ms;
  auto to = made();
  scope.spawn(call(*this, to, "a"));
  auto later = [](Pool& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    EXPECT_EQ(f.pool.idle(), 1U);
    EXPECT_EQ(o->state->figures().idle, 1U);
    rt::Sleep pause(f.loop, 80ms);
    co_await pause;
    EXPECT_EQ(f.pool.idle(), 0U);
    EXPECT_EQ(f.server.connections(), 0U);
    EXPECT_EQ(o->state->figures().open, 0U);
  };
  run(later(*this, to));
}

TEST_F(Pool, TakesTheOneUsedLast) {
  slow = true;
  origin.connections.idle = 60ms;
  auto to = made();
  scope.spawn(call(*this, to, "a"));
  scope.spawn(call(*this, to, "b"));
  auto later = [](Pool& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    for (int i = 0; i < 6; ++i) co_await call(f, o, "again");
    EXPECT_EQ(f.pool.idle(), 1U) << "the other one grew old";
  };
  run(later(*this, to));
  EXPECT_EQ(connections, 2);
}

TEST_F(Pool, ReplacesAConnectionAfterItsNumberOfRequestsOrItsAge) {
  origin.connections.requests = 3;
  auto to = made();
  auto calls = [](Pool& f, std::shared_ptr<const Origin> o, int count) -> rt::Task<void> {
    for (int i = 0; i < count; ++i) co_await call(f, o, "one");
  };
  run(calls(*this, to, 7));
  EXPECT_EQ(connections, 3);
}

TEST_F(Pool, ReplacesAConnectionThatIsTooOld) {
  origin.connections.age = 0s;
  auto to = made();
  auto calls = [](Pool& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    for (int i = 0; i < 3; ++i) co_await call(f, o, "one");
  };
  run(calls(*this, to));
  EXPECT_EQ(connections, 3);
}

// An upload wants a connection of its own: kept ones make room for it.
TEST_F(Pool, AKeptConnectionMakesRoomForAFreshOne) {
  origin.connections.max = 1;
  auto to = made();
  scope.spawn(call(*this, to, "a"));
  auto upload = [](Pool& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    EXPECT_EQ(f.pool.idle(), 1U);
    ClientCall call(f.pool, o, {});
    auto sent = co_await call.start("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n", 2);
    EXPECT_TRUE(sent.has_value());
    if (sent) sent = co_await call.write("ab");
    if (sent) sent = co_await call.finish();
    EXPECT_TRUE(sent.has_value());
  };
  run(upload(*this, to));
  EXPECT_EQ(connections, 2);
}

TEST_F(Pool, KeepsConnectionsOfOriginsSomebodyHas) {
  auto to = made();
  Origin second;
  second.url = to->url;
  auto other = std::make_shared<const Origin>(std::move(second));
  scope.spawn(call(*this, to, "a"));
  scope.spawn(call(*this, other, "b"));
  auto later = [](Pool& f, std::shared_ptr<const Origin> wanted) -> rt::Task<void> {
    f.pool.prune({&wanted, 1});
    EXPECT_EQ(f.pool.idle(), 1U);
    co_return;
  };
  run(later(*this, to));
}

TEST_F(Pool, CancellingEndsAConnectionBeingMade) {
  net::FullListener silent;
  origin.url.port = silent.endpoint().port();
  origin.connect_timeout = 1h;
  auto to = made();
  ClientCall* running = nullptr;
  scope.spawn(call(*this, to, "a", &running));
  after(10ms, [&] { running->cancel(); });
  run();
  EXPECT_THAT(ended, ElementsAre(HasSubstr("a cancelled")));
  EXPECT_EQ(to->state->figures().open, 0U);
}

TEST_F(Pool, CancellingEndsAHandshake) {
  // A server that accepts and says nothing.
  auto mute =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [](int, const net::Endpoint&) {}).value();
  origin.url = *net::parse_http_url(fmt::format("https://127.0.0.1:{}", mute->endpoint().port()));
  origin.tls = *net::TlsContext::client();
  origin.connect_timeout = 1h;
  auto to = made();
  ClientCall* running = nullptr;
  scope.spawn(call(*this, to, "a", &running));
  after(30ms, [&] { running->cancel(); });
  run();
  EXPECT_THAT(ended, ElementsAre(HasSubstr("a cancelled")));
}

TEST_F(Pool, AHandshakeEndsWithTheConnectTimeout) {
  auto mute =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [](int, const net::Endpoint&) {}).value();
  origin.url = *net::parse_http_url(fmt::format("https://127.0.0.1:{}", mute->endpoint().port()));
  origin.tls = *net::TlsContext::client();
  origin.connect_timeout = 50ms;
  auto to = made();
  scope.spawn(call(*this, to, "a"));
  run();
  EXPECT_THAT(ended, ElementsAre(HasSubstr("a deadline_exceeded")));
  EXPECT_EQ(to->state->figures().connect_failures, 1U);
}

struct TlsPool : Pool {
  net::TestCertificate certificate{"llm.example"};

  TlsPool() {
    tls = *net::TlsContext::server({.certificates = {{certificate.cert(), certificate.key()}}});
    origin.url = *net::parse_http_url(fmt::format("https://127.0.0.1:{}", acceptor->endpoint().port()));
  }
  std::string outcome(const net::TlsClientOptions& options, std::string name) {
    origin.tls = *net::TlsContext::client(options);
    origin.tls_name = std::move(name);
    scope.spawn(call(*this, made(), "a"));
    run();
    return ended.front();
  }
};

TEST_F(TlsPool, VerifiesTheNameItIsTold) { EXPECT_EQ(outcome({.ca_file = certificate.cert()}, "llm.example"), "a"); }
TEST_F(TlsPool, VerifiesTheHostOtherwise) {
  EXPECT_THAT(outcome({.ca_file = certificate.cert()}, ""), HasSubstr("the certificate was not accepted"));
}
TEST_F(TlsPool, TrustsOnlyItsAuthorities) {
  EXPECT_THAT(outcome({}, "llm.example"), HasSubstr("the certificate was not accepted"));
}

TEST_F(TlsPool, ResumesTheSessionOnANewConnection) {
  origin.tls = *net::TlsContext::client({.ca_file = certificate.cert()});
  origin.tls_name = "llm.example";
  auto to = made();
  auto twice = [](Pool& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    co_await call(f, o, "a");
    auto kept = f.pool.take(o);
    EXPECT_TRUE(kept);
    if (kept) EXPECT_FALSE(kept->tls_resumed());
    auto second = co_await f.pool.open(o, f.loop.now() + 1s, nullptr);
    EXPECT_TRUE(second.has_value());
    if (second) EXPECT_TRUE((*second)->tls_resumed());
  };
  run(twice(*this, to));
}

TEST_F(TlsPool, ReusesConnections) {
  origin.tls = *net::TlsContext::client({.ca_file = certificate.cert()});
  origin.tls_name = "llm.example";
  auto to = made();
  auto calls = [](Pool& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    for (int i = 0; i < 5; ++i) co_await call(f, o, "one");
  };
  run(calls(*this, to));
  EXPECT_EQ(connections, 1) << "session tickets are no stray answer";
  EXPECT_EQ(to->state->figures().reused, 4U);
}

// Answers the first request of a connection; of the second it takes the head, says `last`, and closes.
rt::Task<void> tired(rt::Loop& loop, int fd, std::string last, int& asked) {
  net::Stream stream(loop, fd);
  std::array<char, 4096> buffer{};
  for (int i = 0; i < 2; ++i) {
    auto got = co_await stream.read(buffer);
    if (!got || *got == 0) co_return;
    ++asked;
    std::string text = i == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" : last;
    auto sent = co_await stream.write(text);
    EXPECT_TRUE(sent.has_value());
  }
}

struct Stale : Pool, testing::WithParamInterface<std::pair<const char*, int>> {};

TEST_P(Stale, IsReplacedOnceUnlessItAnswered) {
  int asked = 0;
  rt::TaskScope upstreams(loop);
  auto acceptor_of_tired =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [&](int fd, const net::Endpoint&) {
        upstreams.spawn(tired(loop, fd, GetParam().first, asked));
      }).value();
  origin.url.port = acceptor_of_tired->endpoint().port();
  auto to = made();
  auto twice = [](Pool& f, std::shared_ptr<const Origin> o, rt::TaskScope& others) -> rt::Task<void> {
    co_await call(f, o, "first");
    co_await call(f, o, "second");
    f.pool.close_all();
    co_await others.idle();
  };
  run(twice(*this, to, upstreams));
  EXPECT_EQ(asked, GetParam().second);
}
INSTANTIATE_TEST_SUITE_P(Pool, Stale,
                         testing::Values(std::pair("", 3), std::pair("HTTP/1.1 100 Continue\r\n\r\n", 2),
                                         std::pair("HTTP/1.1 2", 2)));

}  // namespace
}  // namespace penstock::http
