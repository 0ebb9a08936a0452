#include "net/connector.h"

#include <gmock/gmock.h>

#include "net/acceptor.h"
#include "net/test/full_listener.h"
#include "rt/await.h"

namespace penstock::net {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Endpoint endpoint(const std::string& host, std::uint16_t port) { return *parse_endpoint({host, port}); }

// What a connection came to.
struct Outcome {
  std::optional<Error> error;
};

struct Connecting : testing::Test {
  rt::Loop loop;
  std::vector<std::unique_ptr<Stream>> accepted;

  std::unique_ptr<Acceptor> listen(const std::string& host, std::uint16_t port = 0) {
    return Acceptor::listen(loop, endpoint(host, port),
                            [this](int fd, const Endpoint&) { accepted.push_back(std::make_unique<Stream>(loop, fd)); })
        .value();
  }
  static rt::Task<void> attempt(Connecting& f, std::vector<Endpoint> to, base::Duration patience,
                                rt::Cancellation* cancellation, Outcome& out) {
    auto stream =
        co_await connect_any(f.loop, std::move(to), std::chrono::steady_clock::now() + patience, cancellation);
    if (!stream) out.error = stream.error();
    f.loop.stop();
  }
  Outcome connect_to(std::vector<Endpoint> to, base::Duration patience = 5s, rt::Cancellation* cancellation = nullptr) {
    Outcome out;
    rt::spawn(attempt(*this, std::move(to), patience, cancellation, out));
    loop.run();
    return out;
  }
};

TEST_F(Connecting, GoesToTheNextAddressAtOnceWhenOneRefuses) {
  auto acceptor = listen("127.0.0.2");
  std::uint16_t port = acceptor->endpoint().port();
  auto out = connect_to({endpoint("127.0.0.1", port), endpoint("127.0.0.3", port), endpoint("127.0.0.2", port)});
  EXPECT_FALSE(out.error) << out.error->detail;
}

TEST_F(Connecting, DoesNotWaitForAnAddressThatIsSilent) {
  FullListener silent;
  auto acceptor = listen("127.0.0.2");
  auto out = connect_to({silent.endpoint(), acceptor->endpoint()});
  EXPECT_FALSE(out.error) << out.error->detail;
}

TEST_F(Connecting, TakesTheFamiliesInTurn) {
  // Two silent ones of one family would be 500 ms; the other family comes second.
  std::unique_ptr<Acceptor> acceptor;
  if (auto made = Acceptor::listen(loop, endpoint("::1", 0), [](int fd, const Endpoint&) { ::close(fd); }))
    acceptor = std::move(*made);
  if (!acceptor) GTEST_SKIP() << "this machine has no IPv6";
  FullListener silent;
  auto out = connect_to({silent.endpoint(), silent.endpoint(), silent.endpoint(), acceptor->endpoint()}, 700ms);
  EXPECT_FALSE(out.error) << out.error->detail;
}

TEST_F(Connecting, SaysWhyTheLastOneFailed) {
  std::uint16_t port = listen("127.0.0.1")->endpoint().port();
  auto out = connect_to({endpoint("127.0.0.1", port), endpoint("127.0.0.2", port)});
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->code, Errc::unavailable);
  EXPECT_THAT(out.error->detail, HasSubstr("127.0.0.2"));
  EXPECT_THAT(out.error->detail, HasSubstr("refused"));
}

TEST_F(Connecting, EndsAtTheDeadline) {
  FullListener silent;
  auto out = connect_to({silent.endpoint()}, 30ms);
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->code, Errc::deadline_exceeded);
}

TEST_F(Connecting, EndsWhenCancelled) {
  FullListener silent;
  rt::Cancellation cancellation;
  rt::Timer timer(loop);
  timer.arm_in(10ms, [&] { cancellation.cancel(); });
  auto out = connect_to({silent.endpoint()}, 1h, &cancellation);
  ASSERT_TRUE(out.error);
  EXPECT_EQ(out.error->code, Errc::cancelled);
  EXPECT_EQ(connect_to({silent.endpoint()}, 1h, &cancellation).error->code, Errc::cancelled) << "and stays so";
}

}  // namespace
}  // namespace penstock::net
