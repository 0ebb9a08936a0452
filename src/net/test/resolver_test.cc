#include "net/resolver.h"

#include <gmock/gmock.h>

#include "net/test/dns_server.h"
#include "rt/await.h"

namespace penstock::net {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Mood = DnsServer::Mood;

// Names end in a dot, so that the search list of the machine plays no part.
struct Names : testing::Test {
  rt::Loop loop;
  DnsServer server;
  std::atomic<std::int64_t> later_millis{0};
  Resolver resolver{{.servers = server.address(), .timeout = 100ms, .tries = 2, .now = [this] {
                       return std::chrono::steady_clock::now() + std::chrono::milliseconds(later_millis.load());
                     }}};

  void advance(std::chrono::milliseconds by) { later_millis += by.count(); }

  static rt::Task<void> ask(Names& f, std::string name, base::Duration patience, rt::Cancellation* cancellation,
                            std::vector<std::string>& out) {
    HostPort address{std::move(name), 80};
    auto found =
        co_await f.resolver.resolve(f.loop, address, std::chrono::steady_clock::now() + patience, cancellation);
    if (found) {
      std::string text;
      for (const Endpoint& endpoint : *found) text += (text.empty() ? "" : " ") + endpoint.text();
      out.push_back(text);
    } else {
      out.push_back(std::string(to_string(found.error().code)) + ": " + found.error().detail);
    }
  }
  void run(rt::TaskScope& scope) {
    auto whole = [](rt::TaskScope& tasks, rt::Loop& l) -> rt::Task<void> {
      co_await tasks.idle();
      l.stop();
    };
    rt::spawn(whole(scope, loop));
    loop.run();
  }
  std::string ask(const std::string& name, base::Duration patience = 5s) {
    std::vector<std::string> out;
    rt::TaskScope scope(loop);
    scope.spawn(ask(*this, name, patience, nullptr, out));
    run(scope);
    return out.front();
  }
};

TEST_F(Names, AnswersAddressesWithoutAsking) {
  EXPECT_EQ(ask("127.0.0.9"), "127.0.0.9:80");
  EXPECT_EQ(ask("::1"), "[::1]:80");
  EXPECT_EQ(ask("localhost"), "127.0.0.1:80");
  EXPECT_EQ(resolver.stats().lookups, 0U);
}

TEST_F(Names, GivesAllAddressesOfAName) {
  server.set("two.example", {.addresses = {"127.0.0.1", "127.0.0.2"}});
  std::string found = ask("two.example.");
  EXPECT_THAT(found, HasSubstr("127.0.0.1:80"));
  EXPECT_THAT(found, HasSubstr("127.0.0.2:80"));
}

TEST_F(Names, AsksAgainOnlyWhenTheTimeToLiveIsOver) {
  server.set("a.example", {.addresses = {"127.0.0.1"}, .ttl = 30});
  EXPECT_EQ(ask("a.example."), "127.0.0.1:80");
  server.set("a.example", {.addresses = {"127.0.0.2"}, .ttl = 30});
  advance(29s);
  EXPECT_EQ(ask("a.example."), "127.0.0.1:80");
  EXPECT_EQ(server.asked("a.example"), 1);
  advance(2s);
  EXPECT_EQ(ask("a.example."), "127.0.0.2:80");
  EXPECT_EQ(server.asked("a.example"), 2);
}

TEST_F(Names, KeepsATimeToLiveBetweenASecondAndAnHour) {
  server.set("short.example", {.addresses = {"127.0.0.1"}, .ttl = 0});
  server.set("long.example", {.addresses = {"127.0.0.1"}, .ttl = 1'000'000});
  ask("short.example.");
  ask("short.example.");
  EXPECT_EQ(server.asked("short.example"), 1);
  ask("long.example.");
  advance(59min);
  ask("long.example.");
  EXPECT_EQ(server.asked("long.example"), 1);
  advance(2min);
  ask("long.example.");
  EXPECT_EQ(server.asked("long.example"), 2);
}

TEST_F(Names, IdenticalLookUpsUnderWayAreOne) {
  server.set("slow.example", {.addresses = {"127.0.0.1"}, .delay_millis = 30});
  std::vector<std::string> out;
  rt::TaskScope scope(loop);
  for (int i = 0; i < 50; ++i) scope.spawn(ask(*this, "slow.example.", 5s, nullptr, out));
  run(scope);
  EXPECT_EQ(out, std::vector<std::string>(50, "127.0.0.1:80"));
  EXPECT_EQ(server.asked("slow.example"), 1);
  EXPECT_EQ(resolver.stats().lookups, 1U);
}

TEST_F(Names, ASilentNameDoesNotHoldUpAnother) {
  server.set("silent.example", Mood::silent);
  server.set("b.example", {.addresses = {"127.0.0.3"}});
  std::vector<std::string> out;
  rt::TaskScope scope(loop);
  scope.spawn(ask(*this, "silent.example.", 5s, nullptr, out));
  scope.spawn(ask(*this, "b.example.", 5s, nullptr, out));
  run(scope);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0], "127.0.0.3:80");
  EXPECT_THAT(out[1], HasSubstr("unavailable: the name 'silent.example.' cannot be resolved"));
  EXPECT_GT(server.asked("silent.example"), 1) << "it is asked again before it is given up";
}

TEST_F(Names, WaitsNoLongerThanTheCaller) {
  server.set("silent.example", Mood::silent);
  EXPECT_THAT(ask("silent.example.", 20ms), HasSubstr("deadline_exceeded"));
  rt::Cancellation cancellation;
  std::vector<std::string> out;
  rt::TaskScope scope(loop);
  scope.spawn(ask(*this, "silent.example.", 1h, &cancellation, out));
  loop.post([&] { cancellation.cancel(); });
  run(scope);
  EXPECT_THAT(out.front(), HasSubstr("cancelled"));
}

TEST_F(Names, RemembersAFailureForASecond) {
  EXPECT_THAT(ask("nowhere.example."), HasSubstr("cannot be resolved"));
  int asked = server.asked("nowhere.example");
  EXPECT_GE(asked, 1);
  EXPECT_THAT(ask("nowhere.example."), HasSubstr("cannot be resolved"));
  EXPECT_EQ(server.asked("nowhere.example"), asked);
  server.set("nowhere.example", {.addresses = {"127.0.0.4"}});
  advance(1100ms);
  EXPECT_EQ(ask("nowhere.example."), "127.0.0.4:80");
}

struct OldAnswers : Names, testing::WithParamInterface<Mood> {};

TEST_P(OldAnswers, AreUsedForTenMinutesWhileTheServersFail) {
  server.set("c.example", {.addresses = {"127.0.0.5"}, .ttl = 5});
  EXPECT_EQ(ask("c.example."), "127.0.0.5:80");
  server.set("c.example", GetParam());
  advance(1min);
  EXPECT_EQ(ask("c.example."), "127.0.0.5:80");
  EXPECT_EQ(resolver.stats().stale, 1U);
  advance(10min);
  EXPECT_THAT(ask("c.example."), HasSubstr("cannot be resolved"));
}
INSTANTIATE_TEST_SUITE_P(
    Names, OldAnswers, testing::Values(Mood::silent, Mood::fails, Mood::garbage), [](const auto& info) {
      return std::string(info.param == Mood::silent ? "silence" : info.param == Mood::fails ? "failure" : "garbage");
    });

TEST_F(Names, ANameThatIsGoneIsGone) {
  server.set("d.example", {.addresses = {"127.0.0.6"}, .ttl = 1});
  EXPECT_EQ(ask("d.example."), "127.0.0.6:80");
  server.set("d.example", Mood::no_such_name);
  advance(2s);
  EXPECT_THAT(ask("d.example."), HasSubstr("cannot be resolved"));
  EXPECT_EQ(resolver.stats().stale, 0U);
}

TEST_F(Names, ServersNamedBeforeTheFirstNameAreAskedOnce) {
  DnsServer other;
  other.set("f.example", {.addresses = {"127.0.0.8"}});
  resolver.use_servers(other.address());
  EXPECT_EQ(ask("f.example."), "127.0.0.8:80");
  EXPECT_EQ(ask("g.example.").substr(0, 11), "unavailable");
  EXPECT_EQ(other.asked("f.example"), 1);
}

TEST_F(Names, OtherServersAreAskedAtOnce) {
  server.set("e.example", Mood::silent);
  DnsServer other;
  other.set("e.example", {.addresses = {"127.0.0.7"}});
  std::vector<std::string> out;
  rt::TaskScope scope(loop);
  scope.spawn(ask(*this, "e.example.", 5s, nullptr, out));
  while (server.asked("e.example") == 0) std::this_thread::sleep_for(1ms);
  resolver.use_servers(other.address());
  run(scope);
  EXPECT_EQ(out.front(), "127.0.0.7:80") << "what was under way is asked again of the new ones";
}

}  // namespace
}  // namespace penstock::net
