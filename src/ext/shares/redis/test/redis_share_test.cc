// Against a real server on a local socket, because what counts runs inside of it. Skips where there is none.
#include "ext/shares/redis/redis_share.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <optional>

#include "ext/shares/redis/test/redis_server.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using quota::ShareBatch;
using testing::ElementsAre;
using testing::HasSubstr;

class RedisShareTest : public testing::Test {
 protected:
  void SetUp() override {
    if (RedisServer::program().empty())
      GTEST_SKIP() << "no redis-server or valkey-server is installed; ./dev setup test installs one";
    server.emplace();
  }

  RedisShareOptions options(std::string gateway) const {
    RedisShareOptions made;
    made.address.socket = server->socket();
    made.gateway = std::move(gateway);
    made.timeout = 2s;
    return made;
  }

  std::optional<RedisServer> server;
};

std::vector<std::int64_t> sums(const Result<quota::ShareAnswer>& answer) {
  if (!answer) ADD_FAILURE() << answer.error().detail;
  std::vector<std::int64_t> found;
  if (answer) {
    for (const quota::SharedSum& sum : answer->sums) found.push_back(sum.sum);
  }
  return found;
}

TEST_F(RedisShareTest, SumsOfAllGateways) {
  RedisShare a(options("a")), b(options("b"));
  EXPECT_THAT(sums(a.exchange({1, {{"x", 5, 0, 1min}, {"y\0{}\xff", 1, 0, 1min}}})), ElementsAre(5, 1));
  auto answer = b.exchange({1, {{"x", 2, 0, 1min}, {"z", 0, 0, 1min}}});
  EXPECT_THAT(sums(answer), ElementsAre(7, 0));
  EXPECT_EQ(answer->gateways, 2);
  EXPECT_THAT(sums(a.exchange({2, {{"x", 4, 5, 1min}}})), ElementsAre(11));
  b.leave();
  EXPECT_EQ(a.exchange({3, {}})->gateways, 1);
}

TEST_F(RedisShareTest, ARepeatedBatchCountsOnce) {
  ShareBatch batch{1, {}};
  for (int i = 0; i < 1000; ++i) batch.uses.push_back({"m" + std::to_string(i), i, 0, 1min});
  RedisShare a(options("a"));
  auto first = sums(a.exchange(batch));
  EXPECT_EQ(first.size(), 1000u);
  EXPECT_EQ(first[999], 999);
  RedisShare again(options("a"));  // another connection, which heard no answer
  EXPECT_EQ(sums(again.exchange(batch)), first);
}

TEST_F(RedisShareTest, LargeSumsAreExact) {
  constexpr std::int64_t kLarge = 9'007'199'254'740'000;
  RedisShare a(options("a"));
  EXPECT_THAT(sums(a.exchange({1, {{"x", kLarge, 0, 1min}, {"y", 1'000'000'000'000'000, 0, 1min}}})),
              ElementsAre(kLarge, 1'000'000'000'000'000));
  EXPECT_THAT(sums(a.exchange({2, {{"x", 7, kLarge, 1min}, {"y", 1, 0, 1min}}})),
              ElementsAre(kLarge + 7, 1'000'000'000'000'001));
  EXPECT_THAT(sums(a.exchange({3, {{"x", INT64_MAX, 0, 1min}}})), ElementsAre(1LL << 53));
}

TEST_F(RedisShareTest, SumsArePutBackAfterALoss) {
  RedisShare a(options("a")), b(options("b"));
  EXPECT_TRUE(a.exchange({1, {{"x", 40, 0, 1min}}})->fresh);
  EXPECT_FALSE(a.exchange({2, {{"x", 0, 40, 1min}}})->fresh);
  EXPECT_TRUE(b.exchange({1, {{"x", 2, 0, 1min}}})->fresh);
  server->kill();
  EXPECT_FALSE(a.exchange({3, {{"x", 1, 40, 1min}}}));
  server->start();
  auto back = a.exchange({3, {{"x", 1, 40, 1min}}});
  EXPECT_THAT(sums(back), ElementsAre(41));
  EXPECT_TRUE(back->fresh);
  (void)b.exchange({2, {}});  // the connection is gone
  EXPECT_THAT(sums(b.exchange({2, {{"x", 1, 42, 1min}}})), ElementsAre(43));
}

// A replica that took over and is behind has the same life and fewer turns.
TEST_F(RedisShareTest, AStoreThatWentBackInTimeIsANewLife) {
  RedisShare a(options("a")), b(options("b"));
  for (std::uint64_t i = 1; i <= 5; ++i) ASSERT_TRUE(a.exchange({i, {{"x", 10, 0, 1min}}}));
  ASSERT_TRUE(b.exchange({1, {{"x", 0, 0, 1min}}}));
  auto raw = RedisConnection::open(options("").address, 2s);
  ASSERT_TRUE(raw);
  for (const std::vector<std::string_view>& words :
       {std::vector<std::string_view>{"HSET", "{penstock}:life", "turns", "2"},
        {"SET", "{penstock}:meter:x", "20"},
        {"SET", "{penstock}:told:a", "8192"}}) {
    raw->send(words);
    ASSERT_TRUE(raw->reply());
  }
  EXPECT_THAT(sums(a.exchange({6, {{"x", 1, 50, 1min}}})), ElementsAre(51));
  EXPECT_TRUE(b.exchange({2, {{"x", 0, 50, 1min}}})->fresh);
}

TEST_F(RedisShareTest, AClockThatIsFarFromTheStoresIsSaidOnce) {
  const auto said_by = [](RedisShare& share) {
    testing::internal::CaptureStderr();
    for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(share.exchange({i, {{"x", 1, 0, 1min}}}));
    return testing::internal::GetCapturedStderr();
  };
  base::FakeClock clock;
  RedisShareOptions apart = options("a");
  apart.clock = &clock;
  RedisShare a(apart), b(options("b"));
  const std::string said = said_by(a);
  EXPECT_THAT(said, HasSubstr("NTP"));
  EXPECT_EQ(said.find("NTP"), said.rfind("NTP"));
  EXPECT_EQ(said_by(b), "");
}

TEST_F(RedisShareTest, RecordsOfOneAreThoseOfAll) {
  RedisShare a(options("a")), b(options("b"));
  std::vector<quota::SharedRecord> records{{"key:1", 10, false, R"({"name":"one"})"}, {"key:2", 11, true, "two"}};
  ASSERT_TRUE(a.put(records));
  auto found = b.changes(0, 10);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->records, records);
  EXPECT_EQ(b.exchange({1, {}})->revision, found->revision);
  ASSERT_TRUE(b.put(records));  // nothing new
  EXPECT_EQ(b.changes(found->revision, 10)->records.size(), 0u);
  std::vector<quota::SharedRecord> newer{{"key:1", 12, false, "changed"}, {"key:2", 99, false, "too late"}};
  ASSERT_TRUE(b.put(newer));
  auto changed = a.changes(found->revision, 10);
  ASSERT_EQ(changed->records.size(), 1u);
  EXPECT_EQ(changed->records[0].text, "changed");
}

TEST_F(RedisShareTest, RevisionsGoOnAfterTheirKeyWasLost) {
  RedisShare a(options("a")), b(options("b"));
  std::vector<quota::SharedRecord> records{{"key:1", 10, false, "one"}, {"key:2", 11, false, "two"}};
  ASSERT_TRUE(a.put(records));
  const std::int64_t before = b.changes(0, 10)->revision;
  auto raw = RedisConnection::open(options("").address, 2s);
  for (std::string_view lost : {"{penstock}:revision", "{penstock}:changes"}) {
    raw->send({"DEL", lost});
    ASSERT_TRUE(raw->reply());
    EXPECT_EQ(a.exchange({1, {}})->revision, lost == "{penstock}:revision" ? 0 : before);
    ASSERT_TRUE(a.put(records));
    EXPECT_GE(a.exchange({2, {}})->revision, before);
    EXPECT_EQ(b.changes(0, 10)->records.size(), 2u);
  }
  std::vector<quota::SharedRecord> revoked{{"key:1", 12, true, "revoked"}};
  ASSERT_TRUE(a.put(revoked));
  const auto heard = b.changes(before, 10)->records;
  ASSERT_FALSE(heard.empty());
  EXPECT_EQ(heard.back().text, "revoked");
}

TEST_F(RedisShareTest, TheFirstWordStays) {
  RedisShare a(options("a")), b(options("b"));
  EXPECT_EQ(*a.first("keys", "mine"), "mine");
  EXPECT_EQ(*b.first("keys", "other"), "mine");
}

TEST_F(RedisShareTest, AServerThatStandsStillIsGivenUp) {
  RedisShareOptions quick = options("a");
  quick.timeout = 300ms;
  RedisShare a(quick);
  ASSERT_TRUE(a.exchange({1, {{"x", 1, 0, 1min}}}));
  server->send(SIGSTOP);
  auto stuck = a.exchange({2, {{"x", 1, 1, 1min}}});
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().code, Errc::deadline_exceeded) << stuck.error().detail;
  EXPECT_FALSE(a.exchange({2, {{"x", 1, 1, 1min}}}));
  server->send(SIGCONT);
  RedisShare patient(options("a"));
  EXPECT_THAT(sums(patient.exchange({2, {{"x", 1, 1, 1min}}})), ElementsAre(2));
}

// Each byte comes well within the timeout, the answer never does.
TEST(RedisConnection, AnAnswerThatDripsIsGivenUp) {
  std::string folder = (std::filesystem::temp_directory_path() / "penstock-drip-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  RedisShareOptions options;
  options.address.socket = folder + "/s";
  options.gateway = "a";
  options.timeout = 200ms;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  options.address.socket.copy(address.sun_path, sizeof address.sun_path - 1);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  std::jthread server([listener](const std::stop_token& stop) {
    const int peer = ::accept(listener, nullptr, nullptr);
    while (!stop.stop_requested() && ::send(peer, "+", 1, MSG_NOSIGNAL) == 1) std::this_thread::sleep_for(20ms);
    ::close(peer);
  });
  const auto begun = std::chrono::steady_clock::now();
  auto answer = RedisShare(options).exchange({1, {}});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::deadline_exceeded) << answer.error().detail;
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  server.request_stop();
  server.join();
  ::close(listener);
  std::filesystem::remove_all(folder);
}

TEST_F(RedisShareTest, PasswordsAreAskedForAndNeverRepeated) {
  server->kill();
  server->start({"--requirepass", "s3cret"});
  RedisShareOptions with = options("a");
  auto without = RedisShare(with).exchange({1, {}});
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, Errc::permission_denied);
  with.address.password = base::Secret("wr0ng");
  auto wrong = RedisShare(with).exchange({1, {}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::permission_denied);
  EXPECT_THAT(wrong.error().detail, testing::Not(HasSubstr("wr0ng")));
  with.address.password = base::Secret("s3cret");
  with.address.database = 3;
  EXPECT_TRUE(RedisShare(with).exchange({1, {}}));
}

TEST_F(RedisShareTest, ScriptsThatWereFlushedAreLoadedAgain) {
  RedisShare a(options("a"));
  ASSERT_TRUE(a.exchange({1, {{"x", 1, 0, 1min}}}));
  auto raw = RedisConnection::open(options("").address, 2s);
  raw->send({"SCRIPT", "FLUSH"});
  ASSERT_TRUE(raw->reply());
  auto missed = a.exchange({2, {{"x", 1, 1, 1min}}});
  ASSERT_FALSE(missed);
  EXPECT_EQ(missed.error().code, Errc::unavailable);
  EXPECT_THAT(sums(a.exchange({2, {{"x", 1, 1, 1min}}})), ElementsAre(2));
}

}  // namespace
}  // namespace penstock::ext
