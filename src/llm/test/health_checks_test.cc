#include "llm/health_checks.h"

#include <gmock/gmock.h>

#include "config/document.h"
#include "http/server.h"
#include "llm/test/fake_provider.h"
#include "net/acceptor.h"

namespace penstock::llm {
namespace {

using namespace std::chrono_literals;

// One upstream that answers probes with `status`, and a plan with one provider that is checked every 5 ms.
struct Checked : testing::Test {
  rt::Loop loop;
  int status = 200;
  int probes = 0;
  http::Server server{loop, [this](http::Exchange& x) { return answer(x); },
                      [](int, std::string_view, const std::string& detail) { return detail; }, http::ServerLimits{}};
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint& peer) {
        server.accept(fd, peer);
      }).value();
  http::ClientPool pool{loop};
  HealthChecks checks{pool};
  std::shared_ptr<const http::Origin> origin = [this] {
    http::Origin made;
    made.url = *net::parse_http_url(fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port()));
    made.check = http::HealthCheck{.interval = 5ms, .timeout = 1s, .unhealthy_after = 2, .healthy_after = 2};
    return std::make_shared<const http::Origin>(std::move(made));
  }();

  rt::Task<void> answer(http::Exchange& x) {
    ++probes;
    http::ResponseHead head(status);
    co_await x.respond(std::move(head), "x");
  }
  std::shared_ptr<const Plan> plan(std::string_view providers) {
    base::Registry registry;
    registry.add("fake", ProviderFactory{[this](const std::string&, config::Map&) -> std::shared_ptr<const Provider> {
                   return std::make_shared<const FakeProvider>(origin);
                 }});
    auto document = config::Document::parse(providers, "p.yaml");
    return Plan::parse(document->root(), {}, registry);
  }
  rt::Task<void> until(std::function<bool()> condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
      rt::Sleep pause(loop, 2ms);
      co_await pause;
    }
    EXPECT_TRUE(condition());
  }
  void run(rt::Task<void> task) {
    auto whole = [](Checked& f, rt::Task<void> inner) -> rt::Task<void> {
      co_await inner;
      co_await f.checks.stop();
      f.pool.close_all();
      co_await f.server.drain(std::chrono::steady_clock::now() + 1s);
      f.loop.stop();
    };
    rt::spawn(whole(*this, std::move(task)));
    loop.run();
  }
};

TEST_F(Checked, FollowTheAnswersOfTheProvider) {
  checks.apply(*plan("{ a: { type: fake } }"));
  auto body = [](Checked& f) -> rt::Task<void> {
    const http::OriginHealth& health = f.origin->state->health;
    co_await f.until([&f] { return f.probes >= 3; });
    EXPECT_FALSE(health.down());
    f.status = 503;
    co_await f.until([&health] { return health.down(); });
    f.status = 401;
    co_await f.until([&health] { return !health.down(); });
    f.acceptor->close();
    f.pool.close_all();
  };
  run(body(*this));
}

TEST_F(Checked, EndWithTheProviderAndForgetWhatTheyFound) {
  status = 503;
  checks.apply(*plan("{ a: { type: fake } }"));
  auto body = [](Checked& f) -> rt::Task<void> {
    const http::OriginHealth& health = f.origin->state->health;
    co_await f.until([&health] { return health.down(); });
    f.checks.apply(*f.plan("{ a: { type: fake } }"));
    EXPECT_TRUE(health.down()) << "a reload changes nothing";
    f.checks.apply(*f.plan("{}"));
    co_await f.until([&health] { return !health.down(); });
    int before = f.probes;
    rt::Sleep pause(f.loop, 30ms);
    co_await pause;
    EXPECT_EQ(f.probes, before);
  };
  run(body(*this));
}

}  // namespace
}  // namespace penstock::llm
