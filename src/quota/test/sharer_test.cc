#include "quota/sharer.h"

#include <gmock/gmock.h>

#include <future>

#include "quota/test/fake_share.h"

namespace penstock::quota {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

// One gateway: a meter as the Book keeps it, and the Sharer over it.
struct TestGateway {
  TestGateway(FakeStore& store, std::string name, base::FakeClock& clock) : sharer(ports(), clock) {
    ShareConfig config;
    config.store.open = [this, &store, name = std::move(name)] {
      auto made = std::make_unique<FakeShare>(store, name);
      share = made.get();
      return made;
    };
    config.store.place = "fake://";
    config.spec = "1";
    config.gateways = 3;
    sharer.configure(config);
  }

  // Keeps nothing.
  struct NoRecords : RecordKeeper {
    Result<SharedRecords> changed(std::int64_t since, std::size_t) override { return SharedRecords{{}, since}; }
    Result<void> take(std::span<const SharedRecord>) override { return {}; }
    std::string fingerprint() const override { return "f"; }
  };

  SharerPorts ports() {
    SharerPorts made;
    made.records = &records;
    made.trouble = [this](const Error& error) { events.push_back("trouble: " + error.detail); };
    made.uses = [this](const Now&) { return std::vector<SharedUse>{{"m", untold, known, 1min}}; };
    made.apply = [this](const std::vector<SharedSum>& sums, const Now&) {
      untold -= sums.at(0).told;
      known = sums.at(0).sum;
    };
    made.set = [this](const SharingState& state, const Now&) { states.push_back(state); };
    made.lost = [this](const Error& error, int parts) {
      events.push_back("lost: " + error.detail + " /" + std::to_string(parts));
    };
    made.connected = [this](base::Duration away) { events.push_back("connected after " + std::to_string(away / 1s)); };
    return made;
  }

  NoRecords records;
  std::int64_t untold = 0;
  std::int64_t known = 0;
  std::vector<SharingState> states;
  std::vector<std::string> events;
  FakeShare* share = nullptr;
  Sharer sharer;
};

struct SharerTest : testing::Test {
  base::FakeClock clock;
  FakeStore store;
};

TEST_F(SharerTest, TellsAndHears) {
  TestGateway a(store, "a", clock), b(store, "b", clock);
  a.untold = 5;
  EXPECT_EQ(a.sharer.step(), 100ms);
  b.untold = 2;
  b.sharer.step();
  EXPECT_EQ(b.known, 7);
  a.sharer.step();
  EXPECT_EQ(a.known, 7);
  EXPECT_EQ(a.untold, 0);
  EXPECT_TRUE(a.states.back().connected);
}

TEST_F(SharerTest, SharesNothingWithoutConfiguration) {
  TestGateway a(store, "a", clock);
  a.sharer.step();
  a.sharer.configure(std::nullopt);
  EXPECT_EQ(a.sharer.step(), 1h);
  EXPECT_FALSE(a.states.back().on);
  EXPECT_FALSE(a.sharer.status().on);
}

TEST_F(SharerTest, IsDegradedFromTheStartWithoutAStore) {
  TestGateway a(store, "a", clock);
  a.sharer.configure(std::nullopt);
  a.sharer.step();
  TestGateway b(store, "b", clock);
  b.sharer.start();  // takes the configuration before the first exchange
  EXPECT_TRUE(b.states.front().on);
  EXPECT_FALSE(b.states.front().connected);
  EXPECT_EQ(b.states.front().gateways, 3);
  b.sharer.stop();
}

TEST_F(SharerTest, CountsOnceWhenTheAnswerIsLost) {
  TestGateway a(store, "a", clock);
  a.sharer.step();
  a.untold = 5;
  a.share->fail_after = 3;
  for (int i = 0; i < 3; ++i) a.sharer.step();
  EXPECT_EQ(store.sums["m"], 5);
  EXPECT_EQ(a.untold, 5);  // nobody said that it was counted
  a.untold += 4;           // used meanwhile: of the next batch
  a.sharer.step();
  EXPECT_EQ(a.untold, 4);
  a.sharer.step();
  EXPECT_EQ(store.sums["m"], 9);
  EXPECT_EQ(a.untold, 0);
}

TEST_F(SharerTest, AConnectionThatEndsIsNotYetALoss) {
  TestGateway a(store, "a", clock);
  a.sharer.step();
  a.share->fail_before = 1;
  EXPECT_LT(a.sharer.step(), 10ms);
  EXPECT_TRUE(a.states.back().connected);
  a.sharer.step();
  EXPECT_THAT(a.events, ElementsAre("connected after 0"));
  EXPECT_EQ(a.sharer.status().failures, 1u);
}

TEST_F(SharerTest, SaysLossAndRecoveryOnce) {
  TestGateway a(store, "a", clock);
  store.gateways = 4;
  a.sharer.step();
  a.share->fail_before = 5;
  for (int i = 0; i < 5; ++i) {
    a.sharer.step();
    clock.advance(1s);
  }
  EXPECT_FALSE(a.states.back().connected);
  EXPECT_EQ(a.states.back().gateways, 4);  // more than configured were alive
  EXPECT_EQ(a.sharer.status().why, "it closed the connection");
  a.sharer.step();
  EXPECT_THAT(a.events, ElementsAre("connected after 0", "lost: it closed the connection /4", "connected after 4"));
  EXPECT_EQ(a.sharer.status().why, "");
}

TEST_F(SharerTest, WhoDoesNotAnswerIsLostAtOnce) {
  TestGateway a(store, "a", clock);
  a.sharer.step();
  a.share->error = {Errc::deadline_exceeded, "it did not answer in time"};
  a.share->fail_before = 1;
  a.sharer.step();
  EXPECT_FALSE(a.states.back().connected);
  EXPECT_EQ(a.states.back().gateways, 3);  // as configured: fewer were heard of
}

TEST_F(SharerTest, TriesLessAndLessOften) {
  TestGateway a(store, "a", clock);
  a.sharer.step();
  a.share->fail_before = 20;
  base::Duration longest{};
  for (int i = 0; i < 20; ++i) longest = std::max(longest, a.sharer.step());
  EXPECT_GE(longest, 500ms);
  EXPECT_LE(longest, 1s);
}

TEST_F(SharerTest, PutsSumsBackAfterTheStoreLostThem) {
  TestGateway a(store, "a", clock), b(store, "b", clock);
  a.untold = 40;
  a.sharer.step();
  b.untold = 2;
  b.sharer.step();
  store.lose_everything();
  a.sharer.step();
  b.sharer.step();
  EXPECT_EQ(store.sums["m"], 42);
}

TEST_F(SharerTest, AStoreThatLostItsDataIsLostUntilTheOthersHaveTold) {
  TestGateway a(store, "a", clock);
  store.gateways = 4;
  a.sharer.step();
  store.lose_everything();
  store.gateways = 1;
  a.sharer.step();
  ASSERT_GE(a.states.size(), 2u);
  EXPECT_FALSE(a.states.back().connected);
  EXPECT_FALSE(a.states[a.states.size() - 2].connected);  // said twice: all that is known is told
  EXPECT_EQ(a.states.back().gateways, 4);
  clock.advance(1s);
  a.sharer.step();
  EXPECT_FALSE(a.sharer.status().connected);
  clock.advance(2s);
  a.sharer.step();
  EXPECT_TRUE(a.states.back().connected);
  EXPECT_EQ(a.states.back().gateways, 1);
  EXPECT_THAT(a.events, ElementsAre("connected after 0", "lost: it has lost its data, which the gateways put back /4",
                                    "connected after 3"));
}

TEST_F(SharerTest, OpensAgainWhenItIsRefused) {
  TestGateway a(store, "a", clock);
  a.sharer.step();
  FakeShare* before = a.share;
  before->error = {Errc::permission_denied, "refused"};
  before->fail_before = 1;
  a.sharer.step();
  EXPECT_EQ(a.sharer.status().failures, 1u);
  a.sharer.step();
  clock.advance(3s);  // nobody knows whether it still has what it had
  a.sharer.step();
  EXPECT_TRUE(a.states.back().connected);
}

TEST_F(SharerTest, LimitsAreSharedWhereRecordsMayNotBe) {
  TestGateway a(store, "a", clock);
  a.sharer.step();
  a.share->refuse_records = true;
  store.lose_everything();
  a.events.clear();
  for (int i = 0; i < 3; ++i) a.sharer.step();
  EXPECT_THAT(a.events,
              ElementsAre("lost: it has lost its data, which the gateways put back /3", "trouble: no permission"));
  clock.advance(3s);
  a.sharer.step();
  EXPECT_TRUE(a.states.back().connected);
  a.share->refuse_records = false;
  clock.advance(5s);
  a.sharer.step();
  EXPECT_EQ(store.firsts.at("keys"), "f");
}

TEST_F(SharerTest, AnotherStoreIsTakenByAReload) {
  FakeStore other;
  TestGateway a(store, "a", clock);
  a.untold = 3;
  a.sharer.step();
  ShareConfig config;
  config.spec = "2";
  config.store.open = [&] { return std::make_unique<FakeShare>(other, "a"); };
  a.sharer.configure(config);
  a.sharer.step();
  EXPECT_EQ(other.sums["m"], 3);
}

TEST_F(SharerTest, TellsTheRestBeforeItStops) {
  TestGateway a(store, "a", clock);
  a.sharer.start();
  while (!a.sharer.status().connected) std::this_thread::yield();
  a.sharer.stop();
  EXPECT_EQ(a.untold, 0);
  EXPECT_TRUE(a.share->left);
}

// Any schedule of uses, exchanges, lost answers and lost data: as long as no data is lost the store has every use once.
TEST_F(SharerTest, EveryUseIsCountedOnceUnderAnySchedule) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    FakeStore shared;
    std::mt19937 random(seed);
    TestGateway a(shared, "a", clock), b(shared, "b", clock);
    std::array<TestGateway*, 2> both{&a, &b};
    a.sharer.step();
    b.sharer.step();
    std::int64_t used = 0;
    for (int i = 0; i < 300; ++i) {
      TestGateway& one = *both[random() % 2];
      const std::int64_t amount = static_cast<std::int64_t>(random() % 7);
      one.untold += amount;
      used += amount;
      if (random() % 5 == 0) one.share->fail_after = static_cast<int>(random() % 3);
      if (random() % 5 == 0) one.share->fail_before = static_cast<int>(random() % 3);
      one.sharer.step();
    }
    for (TestGateway* one : both) {
      one->share->fail_after = one->share->fail_before = 0;
      one->sharer.step();
      one->sharer.step();
      EXPECT_EQ(one->untold, 0);
    }
    EXPECT_EQ(shared.sums["m"], used) << "seed " << seed;
  }
}

}  // namespace
}  // namespace penstock::quota
