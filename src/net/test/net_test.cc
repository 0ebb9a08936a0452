#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/acceptor.h"
#include "net/address.h"
#include "net/connector.h"
#include "net/stream.h"
#include "rt/await.h"

namespace penstock::net {
namespace {

using namespace std::chrono_literals;

TEST(Address, ParsesHostsAndPorts) {
  EXPECT_EQ(parse_host_port("127.0.0.1:8080")->port, 8080);
  EXPECT_EQ(parse_host_port("[::1]:80")->host, "::1");
  EXPECT_EQ(parse_host_port("example.org", 443)->port, 443);
  for (const char* bad : {"", ":80", "::1:80", "[::1", "h:99999", "h:", "h:8x", "h"}) {
    EXPECT_FALSE(parse_host_port(bad).has_value()) << bad;
  }
}

TEST(Address, KnowsLoopback) {
  EXPECT_TRUE(parse_endpoint({"127.3.4.5", 1})->is_loopback());
  EXPECT_TRUE(parse_endpoint({"::1", 1})->is_loopback());
  EXPECT_TRUE(parse_endpoint({"localhost", 1})->is_loopback());
  EXPECT_FALSE(parse_endpoint({"0.0.0.0", 1})->is_loopback());
  EXPECT_FALSE(parse_endpoint({"example.org", 1}).has_value());
}

TEST(Url, SplitsAndRefuses) {
  auto url = parse_http_url("http://127.0.0.1:9001/v1/");
  ASSERT_TRUE(url.has_value());
  EXPECT_EQ(url->path, "/v1");
  EXPECT_EQ(url->authority(), "127.0.0.1:9001");
  EXPECT_EQ(parse_http_url("https://api.example.org/v1")->authority(), "api.example.org");
  for (const char* bad : {"ftp://x", "x", "http://", "http://u:p@h/", "http://h/a b"}) {
    EXPECT_FALSE(parse_http_url(bad).has_value()) << bad;
  }
}

TEST(Url, RefusesAddressesThatResolversReadDifferently) {
  for (const char* bad : {"http://0x7f.1/", "http://2130706433/", "http://127.1:80/", "http://0177.0.0.1/",
                          "http://169.254.43518/", "http://0xA9FEA9FE/", "http://127.0.0.1./", "http://1.2.3.4.5/"}) {
    EXPECT_FALSE(parse_http_url(bad).has_value()) << bad;
  }
  for (const char* good :
       {"http://10.0.0.1/", "http://[::1]:80/", "http://a1/", "http://node-7.example/", "http://x.0y/"}) {
    EXPECT_TRUE(parse_http_url(good).has_value()) << good;
  }
}

struct Pair {
  std::unique_ptr<Stream> a;
  std::unique_ptr<Stream> b;
};

Pair stream_pair(rt::Loop& loop) {
  std::array<int, 2> fds{};
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data());
  return {std::make_unique<Stream>(loop, fds[0]), std::make_unique<Stream>(loop, fds[1])};
}

TEST(Stream, MovesMoreThanTheSocketHolds) {
  rt::Loop loop;
  Pair pair = stream_pair(loop);
  std::string big(5'000'000, 'x');
  std::size_t received = 0;
  auto writer = [](Stream& s, const std::string& data) -> rt::Task<void> {
    auto sent = co_await s.write({data, "tail", "end"});
    EXPECT_TRUE(sent.has_value());
    s.close();
  };
  auto reader = [](Stream& s, std::size_t& total) -> rt::Task<void> {
    std::array<char, 65536> buffer{};
    while (true) {
      auto got = co_await s.read(buffer);
      EXPECT_TRUE(got.has_value());
      if (!got || *got == 0) break;
      total += *got;
    }
    s.loop().stop();
  };
  rt::spawn(writer(*pair.a, big));
  rt::spawn(reader(*pair.b, received));
  loop.run();
  EXPECT_EQ(received, big.size() + 7);
}

TEST(Stream, ReadEndsAtTheDeadline) {
  rt::Loop loop;
  Pair pair = stream_pair(loop);
  auto body = [](Stream& s) -> rt::Task<void> {
    std::array<char, 16> buffer{};
    s.set_deadline(std::chrono::steady_clock::now() + 1h);
    s.set_deadline(std::chrono::steady_clock::now() + 10ms);
    auto got = co_await s.read(buffer);
    EXPECT_FALSE(got.has_value());
    EXPECT_EQ(got.error().code, Errc::deadline_exceeded);
    s.loop().stop();
  };
  rt::spawn(body(*pair.a));
  loop.run();
}

TEST(Stream, ADeadlineThatPassedWhileNobodyWaitedEndsTheNextWait) {
  rt::Loop loop;
  Pair pair = stream_pair(loop);
  auto body = [](Stream& s) -> rt::Task<void> {
    s.set_deadline(std::chrono::steady_clock::now() + 5ms);
    rt::Sleep pause(s.loop(), 20ms);
    co_await pause;
    std::array<char, 16> buffer{};
    auto got = co_await s.read(buffer);
    EXPECT_FALSE(got.has_value());
    if (!got) EXPECT_EQ(got.error().code, Errc::deadline_exceeded);
    s.loop().stop();
  };
  rt::spawn(body(*pair.a));
  loop.run();
}

TEST(Stream, ReportsTheHangUpWhileNobodyReads) {
  rt::Loop loop;
  Pair pair = stream_pair(loop);
  bool told = false;
  pair.a->on_hang_up([&] {
    told = true;
    loop.stop();
  });
  loop.post([&] { pair.b->close(); });
  loop.run();
  EXPECT_TRUE(told);
  EXPECT_TRUE(pair.a->hung_up());
}

TEST(Connector, ConnectsToAnAcceptorAndExplainsRefusals) {
  rt::Loop loop;
  std::unique_ptr<Stream> accepted;
  auto acceptor = Acceptor::listen(loop, *parse_endpoint({"127.0.0.1", 0}),
                                   [&](int fd, const Endpoint&) { accepted = std::make_unique<Stream>(loop, fd); });
  ASSERT_TRUE(acceptor.has_value());
  auto again = Acceptor::listen(loop, (*acceptor)->endpoint(), [](int, const Endpoint&) {});
  ASSERT_FALSE(again.has_value());
  EXPECT_NE(again.error().detail.find("in use"), std::string::npos);
  auto body = [](rt::Loop& l, Acceptor& a) -> rt::Task<void> {
    HostPort address{"localhost", a.endpoint().port()};
    auto stream = co_await connect(l, address, std::chrono::steady_clock::now() + 2s);
    EXPECT_TRUE(stream.has_value());
    a.close();
    auto refused = co_await connect(l, address, std::chrono::steady_clock::now() + 2s);
    EXPECT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    HostPort nowhere{"no-such-host.invalid", 80};
    auto unresolved = co_await connect(l, nowhere, std::chrono::steady_clock::now() + 2s);
    EXPECT_FALSE(unresolved.has_value());
    l.stop();
  };
  rt::spawn(body(loop, **acceptor));
  loop.run();
}

}  // namespace
}  // namespace penstock::net
