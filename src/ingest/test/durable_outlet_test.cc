// Outlets with a buffer on the disk: order, names, what is confirmed and what is sent again.
#include "ingest/test/durable_outlet.h"

namespace penstock::ingest {
namespace {

TEST_F(DurableOutlet, NamesEverySampleAndSettlesItOnceItIsStored) {
  sink_.holds = true;
  start();
  deliver(0, 3);
  ASSERT_TRUE(got(1));
  EXPECT_TRUE(until([&] { return settled_ == 3; })) << "stored is settled, whatever the sink says";
  on_loop([&] {
    EXPECT_EQ(sink_.got.front().sequence, 1U);
    EXPECT_THAT(*sink_.got.front().origin, HasSubstr("line.fake/"));
  });
}

TEST_F(DurableOutlet, SendsAgainWhatWasNotConfirmedInOrderAndUnderTheSameName) {
  start();
  deliver(0, 5);
  ASSERT_TRUE(got(5));
  on_loop([&] { sink_.up = false; });
  deliver(5, 500);
  ASSERT_TRUE(stored(500));
  restore();
  ASSERT_TRUE(got(500));
  EXPECT_EQ(numbers(), range(0, 500));
  on_loop([&] {
    for (std::size_t i = 0; i < sink_.got.size(); ++i) ASSERT_EQ(sink_.got[i].sequence, i + 1);
  });
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
}

TEST_F(DurableOutlet, TheNextOneGoesOnWhereThisOneStopped) {
  start();
  deliver(0, 100);
  ASSERT_TRUE(got(100));
  on_loop([&] { sink_.up = false; });
  deliver(100, 300);
  stop();
  EXPECT_EQ(settled_, 300) << "what is on the disk is settled, also while stopping";
  sink_.up = true;
  start();
  deliver(300, 310);
  ASSERT_TRUE(got(310));
  EXPECT_EQ(numbers(), range(0, 310));
}

TEST_F(DurableOutlet, KeepsTheOrderWithLittleMemory) {
  options_.memory = 7;
  sink_.batch = 3;
  sink_.up = false;
  start();
  deliver(0, 1'000);
  ASSERT_TRUE(stored(1'000));
  restore();
  deliver(1'000, 1'500);
  ASSERT_TRUE(got(1'500));
  EXPECT_EQ(numbers(), range(0, 1'500));
}

TEST_F(DurableOutlet, AfterACrashNothingCountsAsWaitingThatIsNotThere) {
  start();
  deliver(0, 10);
  ASSERT_TRUE(got(10));
  std::string crashed = folder_ + "-crashed";
  std::filesystem::copy(folder_, crashed, std::filesystem::copy_options::recursive);
  stop();
  store_ = std::make_unique<BufferStore>(crashed, base::system_clock(), nullptr);
  start();
  ASSERT_TRUE(until([&] {
    auto all = store_->status();
    return all.size() == 1 && all.front().stats.last_sequence > 10;
  })) << "numbers that may have been given out before the crash are left out";
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
  deliver(10, 12);
  ASSERT_TRUE(until([&] { return !sink_.got.empty() && sink_.got.back().sequence > 11; }));
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
  stop();
  std::filesystem::remove_all(crashed);
}

TEST_F(DurableOutlet, ALargeTurnIsReadBackWithLittleMemory) {
  options_.memory = 7;
  start();
  ASSERT_TRUE(until([&] { return outlet_->status().waiting == 0 && store_->status().size() == 1; }));
  deliver(0, 50);
  ASSERT_TRUE(got(50));
  EXPECT_EQ(numbers(), range(0, 50));
}

TEST_F(DurableOutlet, SendsLiveOnesFirstAndTheBacklogAtItsRate) {
  options_.live_first = true;
  options_.replay = 400;
  sink_.batch = 20;
  sink_.up = false;
  start();
  deliver(0, 400);
  ASSERT_TRUE(stored(400));
  ASSERT_TRUE(until([&] { return outlet_->status().retries > 0; }));
  restore();
  ASSERT_TRUE(got(1)) << "the backlog";
  deliver(1'000, 1'010);
  ASSERT_TRUE(
      until([&] { return std::ranges::count_if(sink_.got, [](const Sample& s) { return s.sequence > 400; }) == 10; }));
  on_loop([&] { EXPECT_LT(sink_.got.size(), 400U) << "live samples waited for the backlog"; });
  ASSERT_TRUE(got(410));
  std::vector<std::int64_t> old = numbers();
  std::erase_if(old, [](std::int64_t n) { return n >= 1'000; });
  EXPECT_EQ(old, range(0, 400));
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; })) << "the cursor is behind all of them";
  EXPECT_EQ(outlet_->status().replayed, 400U);
}

TEST_F(DurableOutlet, WhatWasSentLiveIsNotSentAgainBehindTheBacklog) {
  options_.live_first = true;
  sink_.batch = 10;
  for (int round = 0; round < 5; ++round) {
    sink_.up = false;
    if (round == 0) start();
    deliver(round * 100, round * 100 + 60);
    ASSERT_TRUE(until([&] { return outlet_->status().retries > static_cast<std::uint64_t>(round); }));
    restore();
    deliver(round * 100 + 60, round * 100 + 100);
    ASSERT_TRUE(got(static_cast<std::size_t>(round + 1) * 100));
  }
  std::vector<std::int64_t> all = numbers();
  std::ranges::sort(all);
  EXPECT_EQ(all, range(0, 500));
}

TEST_F(DurableOutlet, BulkWaitsWhileTheWayIsExpensive) {
  sink_.least = Priority::normal;
  start();
  deliver(0, 50, Priority::bulk);
  deliver(50, 60);
  deliver(60, 65, Priority::alarm);
  ASSERT_TRUE(got(15));
  EXPECT_EQ(numbers(), range(50, 65));
  on_loop([&] { sink_.least = Priority::bulk; });
  restore();
  ASSERT_TRUE(got(65));
  on_loop([&] { EXPECT_EQ(sink_.got.size(), 65U); });
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
}

TEST_F(DurableOutlet, AStopWritesAllOfALargeBurst) {
  options_.disk = 500'000'000;
  sink_.up = false;
  start();
  deliver(0, 1);
  ASSERT_TRUE(stored(1));
  loop_.post([&] {
    for (int n = 1; n < 1'000; ++n) {
      Sample sample;
      sample.device = "d";
      sample.set("text", std::string(64'000, static_cast<char>('a' + n % 26)));
      sample.receipt = std::make_shared<Settled>(settled_);
      outlet_->deliver(sample);
    }
  });
  stop();
  EXPECT_EQ(settled_, 1'000);
}

// A follower's own, of which the outlet shows little: what is in the log, and what is read of it.
class Followed : public DurableOutlet {
 protected:
  ~Followed() override {
    on_loop([this] { follower_.reset(); });
    if (spool_) spool_->close();
  }
  void follow(spool::Options options, spool::Storage& storage) {
    options.cursors = {"sink"};
    auto opened = spool::Spool::open(std::move(options), storage, base::system_clock());
    ASSERT_TRUE(opened) << opened.error().detail;
    spool_ = *opened;
    on_loop(
        [this] { follower_ = std::make_shared<Follower>(loop_, spool_, FollowerOptions{.cursors = {"sink"}}, [] {}); });
  }
  Result<std::uint64_t> store(std::vector<Sample> samples) {
    Result<std::uint64_t> first = append(samples);
    if (first) on_loop([&] { follower_->stored(*first, std::move(samples)); });
    return first;
  }
  Result<std::uint64_t> append(const std::vector<Sample>& samples) {
    spool::Spool::Entries entries(samples.size());
    for (std::size_t i = 0; i < samples.size(); ++i) {
      append_bytes(entries[i].bytes, samples[i]);
      entries[i].priority = static_cast<std::uint8_t>(samples[i].priority);
    }
    std::promise<Result<std::uint64_t>> stored;
    spool_->append(std::move(entries), [&](auto first) { stored.set_value(std::move(first)); });
    return stored.get_future().get();
  }
  static std::vector<Sample> samples(Priority priority, std::size_t count) {
    Sample sample;
    sample.device = "d";
    sample.priority = priority;
    sample.set("text", std::string(1'000, 'x'));
    return std::vector<Sample>(count, sample);
  }

  spool::FaultyStorage storage_;
  std::shared_ptr<spool::Spool> spool_;
  std::shared_ptr<Follower> follower_;
};

TEST_F(Followed, WhatWentPastWaitingBulkMakesRoom) {
  spool::Options options;
  options.folder = folder_ + "/log";
  options.bytes_max = 1 << 20U;
  options.full = spool::Full::refuse;
  options.by_priority = true;
  options.compress = false;
  follow(options, spool::local_storage());
  on_loop([&] { follower_->set_least(Priority::normal); });
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(store(samples(Priority::bulk, 1)));
    ASSERT_TRUE(store(samples(Priority::normal, 100))) << round;
    std::size_t confirmed = 0;
    ASSERT_TRUE(until([&] {
      const Follower::Taken taken = follower_->take(100);
      follower_->confirmed(runs_of(taken.samples), taken.replayed);
      confirmed += taken.samples.size();
      return confirmed == 100;
    }));
    on_loop([&] { follower_->keep(); });
  }
  on_loop([&] { follower_->set_least(Priority::bulk); });
  std::size_t bulk = 0;
  EXPECT_TRUE(until([&] { return (bulk += follower_->take(100).samples.size()) == 20; }));
}

TEST_F(Followed, ADiskThatFailsForAMomentCostsNothing) {
  spool::Options options;
  options.folder = "log";
  follow(options, storage_);
  ASSERT_TRUE(append(samples(Priority::normal, 1)));
  storage_.failing_reads = 3;
  for (int i = 0; i < 4; ++i) {
    on_loop([&] { EXPECT_THAT(follower_->take(10).samples, IsEmpty()); });
    // The answer to the second comes behind the reading.
    ASSERT_TRUE(store(samples(Priority::normal, 1)));
    ASSERT_TRUE(store(samples(Priority::normal, 1)));
  }
  EXPECT_GT(storage_.failing_reads, 0);
  storage_.failing_reads = 0;
  std::vector<Sample> taken;
  ASSERT_TRUE(until([&] {
    taken = follower_->take(1).samples;
    return !taken.empty();
  }));
  EXPECT_EQ(taken.front().position, 1U);
}

TEST_F(DurableOutlet, WhatThePeerRefusesForGoodIsNotSentAgain) {
  sink_.holds = true;
  start();
  deliver(0, 4);
  ASSERT_TRUE(got(4));
  on_loop([&] {
    sink_.holds = false;
    for (auto& done : std::exchange(sink_.held, {})) done({.outcome = Sent::Outcome::refused, .why = "no such table"});
  });
  deliver(4, 6);
  ASSERT_TRUE(got(6));
  EXPECT_EQ(outlet_->status().status.dropped, 4U);
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
  EXPECT_EQ(numbers(), range(0, 6));
}

TEST_F(DurableOutlet, WhatThePeerRefusesIsKeptUntilItIsKeptElsewhere) {
  sink_.holds = true;
  std::vector<Sample> letters;
  start();
  on_loop([&] { outlet_->on_refused([&](const Sample& sample, const std::string&) { letters.push_back(sample); }); });
  deliver(0, 4);
  ASSERT_TRUE(got(4));
  on_loop([&] {
    sink_.holds = false;
    auto held = std::exchange(sink_.held, {});
    ASSERT_THAT(held, SizeIs(1));
    held.front()({.outcome = Sent::Outcome::confirmed, .rejected = {1}});
  });
  ASSERT_TRUE(until([&] { return outlet_->status().waiting == 1; }));
  on_loop([&] {
    ASSERT_THAT(letters, SizeIs(1));
    EXPECT_EQ(letters.front().sequence, 2U);
  });
  stop();
  letters.clear();
  sink_.got.clear();
  start();
  ASSERT_TRUE(got(1)) << "the letter was never written";
  EXPECT_EQ(numbers(), range(1, 2));
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
  stop();

  sink_.holds = true;
  start();
  on_loop([&] { outlet_->on_refused([&](const Sample& sample, const std::string&) { letters.push_back(sample); }); });
  deliver(4, 5);
  ASSERT_TRUE(got(2));
  on_loop([&] { std::exchange(sink_.held, {}).front()({.outcome = Sent::Outcome::refused, .why = "no"}); });
  EXPECT_EQ(outlet_->status().waiting, 1U);
  on_loop([&] { letters.clear(); });
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
}

TEST_F(DurableOutlet, ASampleThatHasANameKeepsItOnTheDisk) {
  start();
  on_loop([&] { sink_.up = false; });
  on_loop([&] {
    Sample sample;
    sample.set("n", std::int64_t{1});
    sample.sequence = 77;
    sample.origin = std::make_shared<const std::string>("press/1/line");
    outlet_->deliver(sample);
  });
  ASSERT_TRUE(stored(1));
  restore();
  ASSERT_TRUE(got(1));
  on_loop([&] {
    EXPECT_EQ(sink_.got[0].sequence, 77U);
    EXPECT_EQ(*sink_.got[0].origin, "press/1/line");
  });
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
}

TEST_F(DurableOutlet, ACleanStopRepeatsNothingThatWentOutAheadOfBulk) {
  sink_.least = Priority::normal;
  start();
  for (int n = 0; n < 200; n += 20) {
    deliver(n, n + 10, Priority::bulk);
    deliver(n + 10, n + 20);
  }
  ASSERT_TRUE(got(100));
  stop();
  sink_.least = Priority::bulk;
  start();
  deliver(200, 210);
  ASSERT_TRUE(until([&] { return outlet_->status().waiting == 0 && sink_.got.size() >= 210; }));
  std::vector<std::int64_t> all = numbers();
  std::ranges::sort(all);
  EXPECT_EQ(all, range(0, 210)) << "each of them once";
}

TEST_F(DurableOutlet, ACleanStopRepeatsNothingThatWentOutLive) {
  options_.live_first = true;
  options_.replay = 200;
  sink_.batch = 20;
  sink_.up = false;
  start();
  deliver(0, 400);
  ASSERT_TRUE(stored(400));
  ASSERT_TRUE(until([&] { return outlet_->status().retries > 0; }));
  restore();
  ASSERT_TRUE(got(1)) << "the backlog";
  deliver(400, 410);
  ASSERT_TRUE(until([&] { return std::ranges::any_of(sink_.got, [](const Sample& s) { return s.sequence == 410; }); }));
  stop();
  ASSERT_LT(sink_.got.size(), 410U) << "stopped in the middle";
  options_.replay = 0;
  start();
  ASSERT_TRUE(until([&] { return outlet_->status().waiting == 0 && sink_.got.size() >= 410; }));
  std::vector<std::int64_t> all = numbers();
  std::ranges::sort(all);
  EXPECT_EQ(all, range(0, 410)) << "each of them once";
}

}  // namespace
}  // namespace penstock::ingest
