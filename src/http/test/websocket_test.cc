#include "http/websocket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "http/server.h"
#include "http/test/fake_exchange.h"
#include "http/websocket_handshake.h"
#include "net/acceptor.h"
#include "rt/await.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

struct WebSocketTest : testing::Test {
  rt::Loop loop;
  WebSocketOptions options;  // of the server
  WebSocketOptions client;
  std::string ended;  // what the server's side saw last
  bool lazy = false;  // the server does not receive
  Server server{
      loop,
      [this](Exchange& exchange) { return serve(exchange); },
      [](int status, std::string_view, const std::string& detail) { return fmt::format("{} {}", status, detail); },
      {}};
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint& peer) {
        server.accept(fd, peer);
      }).value();
  ClientPool pool{loop};

  // Sends back what it gets.
  rt::Task<void> serve(Exchange& exchange) {
    auto offer = read_websocket_offer(exchange, {});
    if (!offer) {
      co_await exchange.respond(ResponseHead(offer.error().status), offer.error().error.detail);
      co_return;
    }
    std::string protocol(offer->protocols.empty() ? "" : offer->protocols.front());
    auto socket =
        co_await accept_websocket(exchange, std::move(*offer), std::move(protocol), ResponseHead(101), options);
    if (!socket) co_return;
    exchange.on_drain([&] { (*socket)->interrupt({Errc::unavailable, "draining"}); });
    while (lazy) co_await rt::Sleep(loop, 5ms);
    while (true) {
      auto message = co_await (*socket)->receive();
      if (!message) {
        ended = message.error().detail;
        co_await (*socket)->close(wire::close_code::kGoingAway, message.error().detail);
        break;
      }
      if (!*message) {
        ended = fmt::format("{} {}", (*socket)->close_code(), (*socket)->close_reason());
        break;
      }
      auto sent = co_await (*socket)->send((*message)->text, (*message)->data);
      if (!sent) {
        ended = sent.error().detail;
        break;
      }
    }
    exchange.on_drain({});
  }

  void run(rt::Task<void> task) {
    auto body = [](WebSocketTest& f, rt::Task<void> inner) -> rt::Task<void> {
      co_await inner;
      f.lazy = false;
      f.pool.close_all();
      co_await f.server.drain(std::chrono::steady_clock::now() + 5s);
      f.loop.stop();
    };
    rt::spawn(body(*this, std::move(task)));
    loop.run();
  }

  rt::Task<Result<std::unique_ptr<WebSocket>>> connect(std::string protocols = {}) {
    Origin o;
    o.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port()));
    ClientCall call(pool, std::make_shared<const Origin>(std::move(o)), {});
    WebSocketRequest request(std::move(protocols), client);
    std::string head = "GET /ws HTTP/1.1\r\nhost: x\r\n" + request.lines();
    call.expect_upgrade();
    auto sent = co_await call.send(head, {});
    if (!sent) co_return std::unexpected(sent.error());
    co_return open_websocket(call, request);
  }
};

rt::Task<void> talk(WebSocketTest& t, std::size_t* seen) {
  auto socket = co_await t.connect("one, two");
  EXPECT_TRUE(socket) << socket.error().detail;
  if (!socket) co_return;
  for (std::size_t size : {0UL, 5UL, 1000UL, 100'000UL, 1'000'000UL}) {
    std::string text(size, 'a');
    auto sent = co_await (*socket)->send(size % 2 == 0, text);
    EXPECT_TRUE(sent);
    auto back = co_await (*socket)->receive();
    if (!back || !*back) co_return;
    EXPECT_EQ((*back)->text, size % 2 == 0);
    EXPECT_EQ((*back)->data, text);
    ++*seen;
  }
  co_await (*socket)->close(3001, "enough");
  EXPECT_EQ((*socket)->close_code(), 3001);
}

struct CompressedWebSocketTest : WebSocketTest, testing::WithParamInterface<int> {
  CompressedWebSocketTest() {
    options.deflate = {.enabled = GetParam() != 0, .context_takeover = GetParam() == 2};
    client.deflate = options.deflate;
  }
};

TEST_P(CompressedWebSocketTest, MessagesOfAllSizesComeBack) {
  std::size_t seen = 0;
  run(talk(*this, &seen));
  EXPECT_EQ(seen, 5U);
  EXPECT_EQ(ended, "3001 enough");
}

INSTANTIATE_TEST_SUITE_P(OffWithoutAndWithContext, CompressedWebSocketTest, testing::Values(0, 1, 2));

rt::Task<void> wait_for_the_end(WebSocketTest& t, std::string* outcome) {
  auto socket = co_await t.connect();
  if (!socket) co_return;
  auto message = co_await (*socket)->receive();
  *outcome = !message    ? message.error().detail
             : !*message ? fmt::format("{} {}", (*socket)->close_code(), (*socket)->close_reason())
                         : "a message";
}

// A server has one who drains it at a time.
rt::Task<void> wait_until_drained(WebSocketTest& t, std::string* outcome) {
  co_await wait_for_the_end(t, outcome);
  while (t.server.connections() > 0) co_await rt::Sleep(t.loop, 1ms);
  co_await rt::Sleep(t.loop, 5ms);
}

rt::Task<void> drain_meanwhile(WebSocketTest& t) {
  while (t.server.connections() == 0) co_await rt::Sleep(t.loop, 1ms);
  co_await rt::Sleep(t.loop, 20ms);
  co_await t.server.drain(std::chrono::steady_clock::now() + 5s);
}

TEST_F(WebSocketTest, DrainingClosesWith1001) {
  std::string outcome;
  rt::TaskScope scope(loop);
  scope.spawn(drain_meanwhile(*this));
  run(wait_until_drained(*this, &outcome));
  EXPECT_EQ(outcome, "1001 draining");
  EXPECT_EQ(scope.running(), 0U);
}

TEST_F(WebSocketTest, SilenceEndsWithTheIdleTimeout) {
  options.idle_timeout = 60ms;
  options.ping_after = 10ms;  // answered all the time
  std::string outcome;
  run(wait_for_the_end(*this, &outcome));
  EXPECT_EQ(outcome, "1001 no message for 60ms");
}

TEST_F(WebSocketTest, ASideThatAnswersNoPingIsGone) {
  lazy = true;
  client.ping_after = client.pong_within = 30ms;
  std::string outcome;
  run(wait_for_the_end(*this, &outcome));
  EXPECT_EQ(outcome, "the other side did not answer a ping");
}

rt::Task<void> send_too_much(WebSocketTest& t, std::string* outcome) {
  auto socket = co_await t.connect();
  if (!socket) co_return;
  std::string large(3'000'000, 'x');
  auto sent = co_await (*socket)->send(true, large);
  auto message = co_await (*socket)->receive();
  if (message && !*message) *outcome = fmt::format("{}", (*socket)->close_code());
}

TEST_F(WebSocketTest, TooLargeMessagesAreRefusedSoThatTheSenderSeesIt) {
  options.message_bytes_max = 1'000'000;
  std::string outcome;
  client.deflate.enabled = false;
  run(send_too_much(*this, &outcome));
  EXPECT_EQ(outcome, "1009");
}

rt::Task<void> flood(WebSocketTest& t, std::uint64_t* before_stall) {
  auto socket = co_await t.connect();
  if (!socket) co_return;
  std::string large(100'000, 'x');
  while (true) {
    auto sent = co_await (*socket)->send(false, large);
    if (!sent) break;
    *before_stall += large.size();
  }
}

TEST_F(WebSocketTest, NothingIsReadWhileNobodyReceives) {
  lazy = true;
  client.write_timeout = 100ms;
  client.deflate.enabled = false;
  std::uint64_t taken = 0;
  run(flood(*this, &taken));
  EXPECT_LT(taken, 32U << 20) << "as much as sockets hold";
}

rt::Task<void> send_from(WebSocket& socket, int first, int* left) {
  for (int i = 0; i < 20; ++i) {
    std::string text = fmt::format("{}:{}", first, std::string(20'000, 'x'));
    auto sent = co_await socket.send(true, text);
    EXPECT_TRUE(sent);
  }
  --*left;
}

rt::Task<void> send_together(WebSocketTest& t, std::map<char, int>* seen) {
  auto socket = co_await t.connect();
  if (!socket) co_return;
  rt::TaskScope scope(t.loop);
  int left = 3;
  for (int i = 0; i < 3; ++i) scope.spawn(send_from(**socket, i, &left));
  for (int i = 0; i < 60; ++i) {
    auto message = co_await (*socket)->receive();
    if (!message || !*message) break;
    ++(*seen)[(*message)->data.front()];
  }
  co_await scope.idle();
  co_await (*socket)->close(1000, "");
}

TEST_F(WebSocketTest, SeveralMaySendAtOnce) {
  options.deflate.enabled = false;
  std::map<char, int> seen;
  run(send_together(*this, &seen));
  EXPECT_EQ(seen, (std::map<char, int>{{'0', 20}, {'1', 20}, {'2', 20}}));
}

// One side of a connection; the other takes bytes as the test says, and says nothing.
struct MuteWebSocketTest : testing::Test {
  rt::Loop loop;
  rt::TaskScope scope{loop};
  std::array<int, 2> fds = [] {
    std::array<int, 2> pair{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
    return pair;
  }();
  net::Stream ours{loop, fds[0]};
  net::Stream theirs{loop, fds[1]};
  WebSocketOptions options;
  std::optional<Result<void>> sent;
  std::optional<Errc> received;

  static rt::Task<void> send(MuteWebSocketTest& t, WebSocket& socket, std::size_t size) {
    std::string message(size, 'x');
    t.sent = co_await socket.send(false, message);
  }
  static rt::Task<void> receive(MuteWebSocketTest& t, WebSocket& socket) {
    auto message = co_await socket.receive();
    t.received = message ? Errc::internal : message.error().code;
  }
  // 8 KiB at a time, until there is a word about the message.
  static rt::Task<void> take(MuteWebSocketTest& t, base::Duration pause) {
    std::array<char, 8192> buffer;
    base::SteadyTime latest = t.loop.now() + 20s;
    while (!t.sent && t.loop.now() < latest) {
      (void)t.theirs.read_now(buffer);
      co_await rt::Sleep(t.loop, pause);
    }
  }
  void run(rt::Task<void> task) {
    auto body = [](MuteWebSocketTest& t, rt::Task<void> inner) -> rt::Task<void> {
      co_await inner;
      co_await t.scope.idle();
      t.loop.stop();
    };
    rt::spawn(body(*this, std::move(task)));
    loop.run();
  }
};

rt::Task<void> interrupt_while_a_ping_waits(MuteWebSocketTest& t, base::Duration* waited) {
  WebSocket socket(wire::WebSocketRole::server, t.ours, "", std::nullopt, t.options);
  t.scope.spawn(MuteWebSocketTest::send(t, socket, 4'000'000));
  t.scope.spawn(MuteWebSocketTest::receive(t, socket));
  co_await rt::Sleep(t.loop, 50ms);
  base::SteadyTime at = t.loop.now();
  socket.interrupt({Errc::cancelled, "enough"});
  co_await MuteWebSocketTest::take(t, 1ms);
  co_await t.scope.idle();
  *waited = t.loop.now() - at;
}

TEST_F(MuteWebSocketTest, AnInterruptionIsHeardWhileAPingIsWritten) {
  options.ping_after = 10ms;
  options.pong_within = 6s;
  base::Duration waited{};
  run(interrupt_while_a_ping_waits(*this, &waited));
  EXPECT_EQ(received, Errc::cancelled);
  EXPECT_LT(waited, 4s);
}

std::expected<WebSocketOffer, WebSocketRefusal> offer_of(std::vector<std::pair<std::string, std::string>> fields,
                                                         std::vector<std::string> origins = {},
                                                         std::string method = "GET") {
  rt::Loop loop;
  struct Upgradable : FakeExchange {
    using FakeExchange::FakeExchange;
    bool can_upgrade() const override { return true; }
  } exchange(loop, std::move(method));
  std::map<std::string, std::string> all{{"host", "gate.example:8080"},
                                         {"upgrade", "websocket"},
                                         {"connection", "keep-alive, Upgrade"},
                                         {"sec-websocket-version", "13"},
                                         {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  for (auto& [name, value] : fields) all[name] = value;
  for (auto& [name, value] : all) exchange.field(name, value);
  auto offer = read_websocket_offer(exchange, origins);
  if (offer) offer->protocols.clear();  // they refer to the request
  return offer;
}

int status_of(std::vector<std::pair<std::string, std::string>> fields, std::vector<std::string> origins = {},
              std::string method = "GET") {
  auto offer = offer_of(std::move(fields), std::move(origins), std::move(method));
  return offer ? 101 : offer.error().status;
}

TEST(WebSocketOffer, IsReadStrictly) {
  EXPECT_EQ(status_of({}), 101);
  EXPECT_EQ(status_of({{"upgrade", "h2c"}}), 426);
  EXPECT_EQ(status_of({{"connection", "close"}}), 426);
  EXPECT_EQ(status_of({}, {}, "POST"), 426);
  EXPECT_EQ(status_of({{"sec-websocket-version", "8"}}), 426);
  EXPECT_EQ(status_of({{"sec-websocket-key", "short"}}), 400);
  EXPECT_EQ(status_of({{"sec-websocket-protocol", "a, a"}}), 400);
  EXPECT_EQ(status_of({{"sec-websocket-protocol", "a b"}}), 400);
}

TEST(WebSocketOffer, LetsOnlyKnownPagesIn) {
  EXPECT_EQ(status_of({{"origin", "https://gate.example:8080"}}), 101);
  EXPECT_EQ(status_of({{"origin", "https://gate.example"}}), 403);
  EXPECT_EQ(status_of({{"origin", "https://evil.example"}}), 403);
  EXPECT_EQ(status_of({{"origin", "null"}}), 403);
  EXPECT_EQ(status_of({{"origin", "https://app.example"}}, {"https://app.example"}), 101);
  EXPECT_EQ(status_of({{"origin", "https://evil.example"}}, {"*"}), 101);
}

}  // namespace
}  // namespace penstock::http
