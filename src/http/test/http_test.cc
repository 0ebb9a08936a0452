#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "http/client.h"
#include "http/router.h"
#include "http/server.h"
#include "net/acceptor.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

rt::Event* held = nullptr;  // what "/held" waits for

rt::Task<void> echo(Exchange& exchange) {
  auto body = co_await exchange.read_body(1000);
  if (!body) co_return;
  if (exchange.request().path == "/stream" || exchange.request().path == "/204" || exchange.request().path == "/304") {
    ResponseHead head(exchange.request().path == "/stream" ? 200 : exchange.request().path == "/204" ? 204 : 304);
    exchange.begin(std::move(head));
    for (int i = 0; i < 3; ++i) co_await exchange.write("piece;");
    co_await exchange.finish();
    co_return;
  }
  if (exchange.request().path == "/cut") {
    ResponseHead head(200);
    exchange.begin(std::move(head));
    co_await exchange.write("some");
    exchange.abort();
    co_return;
  }
  if (exchange.request().path == "/silent") co_return;
  if (exchange.request().path == "/until-drained") {
    rt::Event drained(exchange.loop());
    exchange.on_drain([&] { drained.set(); });
    exchange.begin(ResponseHead(200));
    co_await exchange.write("first;");
    co_await drained;
    exchange.on_drain({});
    co_await exchange.finish();
    co_return;
  }
  if (exchange.request().path == "/held") {
    exchange.begin(ResponseHead(200));
    co_await exchange.write("first;");
    co_await *held;
    co_await exchange.finish();
    co_return;
  }
  if (exchange.request().path == "/trailers") {
    exchange.begin(ResponseHead(200));
    exchange.trailer("x-seen", exchange.trailers().get("x-sum"));
    auto sent = co_await exchange.finish();
    co_return;
  }
  ResponseHead head(200);
  head.add("x-path", exchange.request().path).add("x-query", exchange.request().query);
  std::string copy(*body);
  co_await exchange.respond(std::move(head), copy);
}

// A server on one loop, and a way to run one coroutine against it.
struct HttpServer : testing::Test {
  rt::Loop loop;
  ServerLimits limits = [] {
    ServerLimits l;
    l.head_timeout = 50ms;
    l.message.head_bytes_max = 1000;
    return l;
  }();
  Server server{loop, echo,
                [](int status, std::string_view path, const std::string& detail) {
                  return fmt::format("{} {} {}", status, path, detail);
                },
                limits};
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint& peer) {
        server.accept(fd, peer);
      }).value();
  ClientPool pool{loop};

  void run(rt::Task<void> task) {
    auto body = [](HttpServer& f, rt::Task<void> inner) -> rt::Task<void> {
      co_await inner;
      f.pool.close_all();
      co_await f.server.drain(std::chrono::steady_clock::now() + 1s);
      f.loop.stop();
    };
    rt::spawn(body(*this, std::move(task)));
    loop.run();
  }

  std::shared_ptr<const Origin> origin() {
    Origin o;
    o.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port()));
    return std::make_shared<const Origin>(std::move(o));
  }

  // Raw bytes in, everything the server says until it closes.
  rt::Task<std::string> raw(std::string bytes) {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const auto& endpoint = acceptor->endpoint();
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length), 0);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    net::Stream stream(loop, fd);
    auto sent = co_await stream.write(bytes);
    EXPECT_TRUE(sent.has_value());
    std::string all;
    std::array<char, 4096> buffer{};
    stream.set_deadline(std::chrono::steady_clock::now() + 10s);
    while (true) {
      auto got = co_await stream.read(buffer);
      if (!got || *got == 0) break;
      all.append(buffer.data(), *got);
    }
    co_return all;
  }
};

rt::Task<std::string> read_until(net::Stream& stream, std::string_view end) {
  std::string all;
  std::array<char, 4096> buffer{};
  stream.set_deadline(std::chrono::steady_clock::now() + 5s);
  while (!all.ends_with(end)) {
    auto got = co_await stream.read(buffer);
    if (!got || *got == 0) break;
    all.append(buffer.data(), *got);
  }
  co_return all;
}

TEST_F(HttpServer, ADrainClosesNoConnectionWhoseClientWasNotTold) {
  auto drain = [](HttpServer& f) -> rt::Task<void> {
    co_await f.server.drain(std::chrono::steady_clock::now() + 10s, std::chrono::steady_clock::now() + 10s);
  };
  auto body = [](HttpServer& f, rt::Task<void> drain_meanwhile) -> rt::Task<void> {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const auto& endpoint = f.acceptor->endpoint();
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length), 0);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    net::Stream stream(f.loop, fd);
    auto sent = co_await stream.write("GET /until-drained HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string first = co_await read_until(stream, "first;\r\n");
    EXPECT_EQ(first.find("connection: close"), std::string::npos) << first;
    rt::TaskScope draining(f.loop);
    draining.spawn(std::move(drain_meanwhile));
    std::string rest = co_await read_until(stream, "0\r\n\r\n");
    EXPECT_TRUE(rest.ends_with("0\r\n\r\n")) << rest;
    sent = co_await stream.write("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string next = co_await read_until(stream, "until the end");
    EXPECT_NE(next.find("x-path: /next"), std::string::npos) << next;
    EXPECT_NE(next.find("connection: close"), std::string::npos) << next;
    co_await draining.idle();
  };
  run(body(*this, drain(*this)));
}

TEST_F(HttpServer, AConnectionOfARemovedListenerEndsWithTheAnswerUnderWay) {
  auto body = [](HttpServer& f) -> rt::Task<void> {
    auto removed = std::make_shared<std::atomic<bool>>(false);
    auto listener = std::make_shared<ListenerOptions>();
    listener->removed = removed;
    auto acceptor =
        net::Acceptor::listen(f.loop, *net::parse_endpoint({"127.0.0.1", 0}),
                              [&](int fd, const net::Endpoint& peer) { f.server.accept(fd, peer, listener); });
    rt::Event answered(f.loop);
    held = &answered;
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const auto& endpoint = (*acceptor)->endpoint();
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length), 0);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    net::Stream stream(f.loop, fd);
    auto sent = co_await stream.write("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    co_await read_until(stream, "first;\r\n");
    removed->store(true);
    f.server.leave_removed(0ms);
    rt::Event grace_over(f.loop);
    rt::Timer timer(f.loop);
    timer.arm_in(1ms, [&] { grace_over.set(); });
    co_await grace_over;
    answered.set();
    EXPECT_TRUE((co_await read_until(stream, "0\r\n\r\n")).ends_with("0\r\n\r\n"));
    std::array<char, 1> more{};
    auto got = co_await stream.read(more);
    EXPECT_TRUE(got && *got == 0) << "it is closed, and waits for nothing";
  };
  run(body(*this));
}

TEST_F(HttpServer, SendsTrailersToThoseWhoTakeThem) {
  auto body = [](HttpServer& f) -> rt::Task<void> {
    std::string request = "POST /trailers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n";
    std::string rest = "\r\n2\r\nhi\r\n0\r\nx-sum: 42\r\n\r\n";
    std::string wanted = co_await f.raw(request + "TE: gzip, Trailers\r\n" + rest);
    EXPECT_TRUE(wanted.ends_with("0\r\nx-seen: 42\r\n\r\n")) << wanted;
    std::string plain = co_await f.raw(request + rest);
    EXPECT_TRUE(plain.ends_with("\r\n\r\n0\r\n\r\n")) << plain;
  };
  run(body(*this));
}

TEST_F(HttpServer, AnswersAndReusesConnections) {
  auto body = [](HttpServer& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    for (int i = 0; i < 3; ++i) {
      ClientCall call(f.pool, o, {});
      auto sent = co_await call.send("POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n", "hello");
      EXPECT_TRUE(sent.has_value());
      if (!sent) co_return;
      EXPECT_EQ(call.status(), 200);
      EXPECT_EQ(call.fields().get("x-query"), "b=c");
      auto all = co_await call.read_all(100);
      EXPECT_TRUE(all.has_value());
      EXPECT_EQ(all.value_or(""), "hello");
      EXPECT_EQ(f.pool.idle(), 1U);
      EXPECT_EQ(f.server.connections(), 1U);
    }
  };
  run(body(*this, origin()));
}

TEST_F(HttpServer, StreamsAndTellsACutFromAnEnd) {
  auto body = [](HttpServer& f, std::shared_ptr<const Origin> o) -> rt::Task<void> {
    ClientCall call(f.pool, o, {});
    auto sent = co_await call.send("GET /stream HTTP/1.1\r\nHost: x\r\n", "");
    EXPECT_TRUE(sent.has_value());
    auto all = co_await call.read_all(100);
    EXPECT_EQ(all.value_or("?"), "piece;piece;piece;");
    ClientCall cut(f.pool, o, {});
    auto again = co_await cut.send("GET /cut HTTP/1.1\r\nHost: x\r\n", "");
    EXPECT_TRUE(again.has_value());
    auto part = co_await cut.read_all(100);
    EXPECT_FALSE(part.has_value());
    if (!part) EXPECT_EQ(part.error().code, Errc::data_loss);
  };
  run(body(*this, origin()));
}

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  auto body = [](HttpServer& f) -> rt::Task<void> {
    std::string all = co_await f.raw(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /3 "
        "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::size_t one = all.find("x-path: /1");
    std::size_t two = all.find("x-path: /2");
    std::size_t three = all.find("x-path: /3");
    EXPECT_NE(one, std::string::npos);
    EXPECT_LT(one, two);
    EXPECT_LT(two, three);
    EXPECT_LT(three, all.size());
  };
  run(body(*this));
}

TEST_F(HttpServer, PiecesOfAnAnswerWithoutABodyAreNotSent) {
  auto body = [](HttpServer& f) -> rt::Task<void> {
    for (std::string_view line :
         {"GET /204 HTTP/1.0", "GET /204 HTTP/1.1", "GET /304 HTTP/1.1", "HEAD /stream HTTP/1.1"}) {
      auto request = [&](std::string_view connection) {
        return fmt::format("{}\r\nhost: x\r\nconnection: {}\r\n\r\n", line, connection);
      };
      std::string all = co_await f.raw(request("keep-alive") + request("close"));
      EXPECT_EQ(all.find("transfer-encoding"), std::string::npos) << all;
      EXPECT_EQ(all.find("piece"), std::string::npos) << all;
      EXPECT_EQ(all.find("HTTP/1.1 ", 1), all.find("\r\n\r\n") + 4) << "the next answer follows at once: " << all;
      EXPECT_TRUE(all.ends_with("\r\n\r\n") && !all.ends_with("0\r\n\r\n")) << all;
    }
  };
  run(body(*this));
}

TEST_F(HttpServer, RefusesAndCloses) {
  auto body = [](HttpServer& f) -> rt::Task<void> {
    std::string bad = co_await f.raw("GET / HTTP/1.1\nHost: a\n\n");
    EXPECT_TRUE(bad.starts_with("HTTP/1.1 400 ")) << bad;
    EXPECT_NE(bad.find("connection: close"), std::string::npos);
    std::string large = co_await f.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    EXPECT_TRUE(large.starts_with("HTTP/1.1 413 ")) << large;
    std::string refused = co_await f.raw("POST /a/b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n");
    EXPECT_NE(refused.find("413 /a/b the body"), std::string::npos) << refused;
    std::string slow = co_await f.raw("GET / HTTP/1.1\r\nHo");
    EXPECT_TRUE(slow.starts_with("HTTP/1.1 408 ")) << slow;
    std::string silent = co_await f.raw("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(silent.starts_with("HTTP/1.1 500 ")) << silent;
    std::string expects = co_await f.raw(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n");
    EXPECT_TRUE(expects.starts_with("HTTP/1.1 100 Continue")) << expects;
    std::string head = co_await f.raw("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  };
  run(body(*this));
}

// Answers each request, and 20 ms after the first says something nobody asked for.
rt::Task<void> talkative(rt::Loop& loop, int fd) {
  net::Stream stream(loop, fd);
  std::array<char, 4096> buffer{};
  constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  constexpr std::string_view kStray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
  auto got = co_await stream.read(buffer);
  if (!got || *got == 0) co_return;
  auto sent = co_await stream.write(kAnswer);
  rt::Sleep pause(loop, 20ms);
  co_await pause;
  sent = co_await stream.write(kStray);
  got = co_await stream.read(buffer);
  if (got && *got > 0) sent = co_await stream.write(kAnswer);
}

TEST_F(HttpServer, AnAnswerNobodyAskedForIsNeverTheNextCallers) {
  rt::TaskScope talking(loop);
  auto upstream =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [&](int fd, const net::Endpoint&) {
        talking.spawn(talkative(loop, fd));
      }).value();
  Origin o;
  o.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", upstream->endpoint().port()));
  auto body = [](HttpServer& f, std::shared_ptr<const Origin> to, rt::TaskScope& others) -> rt::Task<void> {
    for (int i = 0; i < 2; ++i) {
      ClientCall call(f.pool, to, {});
      auto sent = co_await call.send("GET / HTTP/1.1\r\nHost: x\r\n", "");
      EXPECT_TRUE(sent.has_value());
      auto all = co_await call.read_all(100);
      EXPECT_EQ(all.value_or("?"), "ok");
      rt::Sleep pause(f.loop, 60ms);
      co_await pause;
    }
    f.pool.close_all();
    co_await others.idle();
  };
  run(body(*this, std::make_shared<const Origin>(std::move(o)), talking));
}

// The handler takes 1,000 bytes: a chunk that is announced together with the head is no way around that.
TEST_F(HttpServer, RefusesAChunkByItsSizeWheneverItIsAnnounced) {
  auto body = [](HttpServer& f) -> rt::Task<void> {
    constexpr std::string_view kHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::string_view chunks : {"40000000\r\nx", "3e9\r\n", "1\r\nx\r\n3e8\r\nx"}) {
      std::string answer = co_await f.raw(std::string(kHead) + std::string(chunks));
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << chunks << ": " << answer;
    }
    std::string fits = co_await f.raw(std::string(kHead) + "1\r\nx\r\n1\r\ny\r\n0\r\n\r\n");
    EXPECT_TRUE(fits.starts_with("HTTP/1.1 200 ") && fits.ends_with("xy")) << fits;
  };
  run(body(*this));
}

// Says `answer` to whatever comes first.
rt::Task<void> says(rt::Loop& loop, int fd, std::string answer) {
  net::Stream stream(loop, fd);
  std::array<char, 4096> buffer{};
  auto got = co_await stream.read(buffer);
  if (!got || *got == 0) co_return;
  auto sent = co_await stream.write(answer);
  if (sent) (void)co_await stream.read(buffer);
}

TEST_F(HttpServer, InterimAnswersAreNoAnswers) {
  struct Case {
    std::string method, answer, wanted;  // wanted: the body, or "!" for a refusal
  };
  std::string flood;
  for (int i = 0; i < 17; ++i) flood += "HTTP/1.1 103 Early Hints\r\n\r\n";
  const std::vector<Case> cases = {
      {"GET",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
       "2\r\n\r\nok",
       "ok"},
      {"HEAD", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""},
      {"GET", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "!"},
      {"GET", flood + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "!"}};
  for (const Case& one : cases) {
    rt::TaskScope saying(loop);
    auto upstream =
        net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [&](int fd, const net::Endpoint&) {
          saying.spawn(says(loop, fd, one.answer));
        }).value();
    Origin o;
    o.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", upstream->endpoint().port()));
    auto body = [](HttpServer& f, std::shared_ptr<const Origin> to, const Case& c,
                   rt::TaskScope& others) -> rt::Task<void> {
      {
        ClientCall call(f.pool, to, {.first_byte = 2s, .idle = 2s});
        auto sent = co_await call.send(c.method + " / HTTP/1.1\r\nHost: x\r\n", "");
        EXPECT_EQ(sent.has_value(), c.wanted != "!") << c.answer;
        if (sent) {
          auto all = co_await call.read_all(100);
          EXPECT_EQ(all.value_or("?"), c.wanted);
        } else {
          EXPECT_EQ(sent.error().code, Errc::protocol_error);
        }
      }
      f.pool.close_all();
      co_await others.idle();
      f.loop.stop();
    };
    rt::spawn(body(*this, std::make_shared<const Origin>(std::move(o)), one, saying));
    loop.run();
  }
}

TEST_F(HttpServer, AnEarlyRefusalReachesAClientThatIsStillSending) {
  auto body = [](HttpServer& f) -> rt::Task<void> {
    std::string head = "POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n";
    std::string answer = co_await f.raw(head + std::string(900'000, 'x'));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer.substr(0, 100);
    EXPECT_NE(answer.find("connection: close"), std::string::npos);
  };
  run(body(*this));
}

TEST_F(HttpServer, AFloodOnOneConnectionLeavesTurnsForOthers) {
  auto flood = [](HttpServer& f, bool& stop) -> rt::Task<void> {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const auto& endpoint = f.acceptor->endpoint();
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length), 0);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    net::Stream stream(f.loop, fd);
    std::string many;
    for (int i = 0; i < 2000; ++i) many += "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    std::array<char, 65536> buffer{};
    stream.set_deadline(std::chrono::steady_clock::now() + 2s);
    auto sent = co_await stream.write(many);
    while (!stop) {
      auto got = co_await stream.read(buffer);
      if (!got || *got == 0) break;
    }
  };
  auto body = [](HttpServer& f, std::shared_ptr<const Origin> o, bool& stop, rt::TaskScope& others) -> rt::Task<void> {
    ClientCall call(f.pool, o, {});
    auto sent = co_await call.send("GET /y HTTP/1.1\r\nHost: x\r\n", "");
    EXPECT_TRUE(sent.has_value());
    (void)co_await call.read_all(100);
    stop = true;
    co_await others.idle();
  };
  bool stop = false;
  rt::TaskScope flooding(loop);
  flooding.spawn(flood(*this, stop));
  run(body(*this, origin(), stop, flooding));
  EXPECT_TRUE(stop);
}

rt::Task<void> plain(Exchange&, Params) { co_return; }

// Whatever it does with its time: without TLS and with, saying nothing, dripping, or taking no answer over HTTP/2.
TEST_F(HttpServer, AConnectionBeyondTheLimitHasOneShortTimeForEverything) {
  auto burden = std::make_shared<Burden>(1, BurdenLimits{.connections = 0});
  ServerLimits patient;
  patient.spare_timeout = 100ms;
  Server full(
      loop, [](Exchange& exchange) { return echo(exchange); }, [](auto...) { return std::string(); }, patient, burden);
  ListenerOptions h2c;
  h2c.h2c = true;
  ListenerOptions proxied;
  proxied.proxy_protocol = true;
  std::array listeners{ListenerOptions(), h2c, proxied};
  std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  std::vector<int> clients;
  for (const ListenerOptions& options : listeners) {
    for (const std::string& said : {std::string(), std::string("GET / HT"), preface.substr(0, 5), preface + settings}) {
      std::array<int, 2> ends{};
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
      EXPECT_EQ(::write(ends[0], said.data(), said.size()), static_cast<ssize_t>(said.size()));
      clients.push_back(ends[0]);
      full.accept(ends[1], {}, std::make_shared<const ListenerOptions>(options));
    }
  }
  EXPECT_EQ(full.connections(), 12U);
  rt::Timer over(loop);
  over.arm_in(1s, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(full.connections(), 0U);
  EXPECT_EQ(burden->connections(), 0U);
  for (int fd : clients) ::close(fd);
}

TEST(Router, MatchesLiteralsAndSegments) {
  Router router;
  router.add("GET", "/v1/models", "openai", plain);
  router.add("GET", "/v1/models/{id...}", "openai", plain);
  router.add("POST", "/v2/models/{m}/infer", "oip", plain);
  EXPECT_EQ(router.match("GET", "/v1/models").route->pattern, "/v1/models");
  EXPECT_EQ(router.match("HEAD", "/v1/models").route->pattern, "/v1/models");
  auto model = router.match("GET", "/v1/models/openai/gpt%2D4");
  ASSERT_NE(model.route, nullptr);
  EXPECT_EQ(param(model.params, "id"), "openai/gpt-4");
  EXPECT_EQ(router.match("POST", "/v1/models").allowed, "GET");
  EXPECT_EQ(router.match("GET", "/nope").route, nullptr);
  EXPECT_EQ(router.match("POST", "/v2/models//infer").route, nullptr);
  EXPECT_EQ(router.api_of("/v2/unknown"), "oip");
}

TEST(ResponseHead, ValuesCannotStartALine) {
  ResponseHead head(200);
  head.add("x", "a\r\nset-cookie: b");
  EXPECT_EQ(head.lines(), "x: a  set-cookie: b\r\n");
}

TEST(Query, FindsAndDecodes) {
  EXPECT_EQ(query_value("a=1&key=s%2Fx+y", "key"), "s/x y");
  EXPECT_EQ(query_value("a=1", "key"), "");
}

}  // namespace
}  // namespace penstock::http
