// Outlets that are full, have no disk, or one that they cannot read.
#include "ingest/test/durable_outlet.h"

namespace penstock::ingest {
namespace {

TEST_F(DurableOutlet, WithoutADiskBulkThatWaitsHoldsUpNoAlarm) {
  std::ofstream(folder_ + "/buffers") << "in the way";
  sink_.least = Priority::normal;
  start();
  deliver(0, 3, Priority::bulk);
  deliver(3, 5);
  deliver(5, 6, Priority::alarm);
  ASSERT_TRUE(got(3));
  EXPECT_EQ(numbers(), range(3, 6));
}

TEST_F(DurableOutlet, WithoutADiskItDeliversAllTheSameAndSaysSo) {
  std::ofstream(folder_ + "/buffers") << "in the way";
  sink_.holds = true;
  start();
  deliver(0, 10);
  ASSERT_TRUE(got(1));
  EXPECT_THAT(outlet_->status().status.detail, HasSubstr("the buffer buffers/line.fake cannot be opened"));
  EXPECT_EQ(settled_, 0) << "nothing is safe before the sink has it";
  on_loop([&] {
    sink_.holds = false;
    for (auto& done : std::exchange(sink_.held, {})) done({});
  });
  ASSERT_TRUE(got(10));
  EXPECT_EQ(numbers(), range(0, 10));
  EXPECT_TRUE(until([&] { return settled_ == 10; }));
}

TEST_F(DurableOutlet, AFullBufferThatRefusesSaysSoUntilThereIsRoom) {
  options_.disk = 1'000'000;
  options_.full = spool::Full::refuse;
  options_.compress = false;
  options_.memory = 100;
  sink_.up = false;
  start();
  int sent = 0;
  // At most what is held in memory for a disk that is only slow.
  while (!outlet_->full() && sent < 12'000) {
    deliver(sent, sent + 50, Priority::normal, 2'000);
    sent += 50;
  }
  ASSERT_TRUE(outlet_->full());
  restore();
  ASSERT_TRUE(got(static_cast<std::size_t>(sent)));
  EXPECT_EQ(numbers(), range(0, sent)) << "nothing was dropped";
  EXPECT_TRUE(until([&] { return !outlet_->full(); }));
}

TEST_F(DurableOutlet, WhatASinkTookInPartGoesOnWhereItEnded) {
  sink_.takes = 7;
  start();
  deliver(0, 500);
  ASSERT_TRUE(got(500));
  EXPECT_EQ(numbers(), range(0, 500));
  EXPECT_TRUE(until([&] { return outlet_->status().waiting == 0; }));
  EXPECT_EQ(outlet_->status().retries, 0U);
}

TEST_F(DurableOutlet, AShortBoundOfRecordsKeepsTheNewestOfALargeTurn) {
  options_.records = 64;
  sink_.up = false;
  start();
  deliver(0, 1'000);
  ASSERT_TRUE(until([&] {
    auto all = store_->status();
    return !all.empty() && all.front().stats.appended == 1'000;
  })) << "none is too many at once";
  restore();
  ASSERT_TRUE(until([&] { return !sink_.got.empty() && outlet_->status().waiting == 0; }));
  const auto left = numbers();
  EXPECT_GT(left.size(), 32U);
  EXPECT_LE(left.size(), 64U);
  EXPECT_EQ(left, range(1'000 - static_cast<int>(left.size()), 1'000));
}

TEST_F(DurableOutlet, WithoutADiskTheNewestGoWhenTheRuleSaysSo) {
  std::ofstream(folder_ + "/buffers") << "in the way";
  options_.full = spool::Full::drop_newest;
  options_.memory = 100;
  sink_.up = false;
  start();
  ASSERT_TRUE(until([&] { return !outlet_->status().status.detail.empty(); }));
  deliver(0, 300);
  restore();
  ASSERT_TRUE(got(100));
  EXPECT_EQ(numbers(), range(0, 100));
  EXPECT_EQ(outlet_->status().status.dropped, 200U);
}

TEST_F(DurableOutlet, InMemoryWhatComesBackPushesOutTheNewestWhenTheRuleSaysSo) {
  options_.disk = 0;
  options_.full = spool::Full::drop_newest;
  options_.memory = 10;
  sink_.holds = true;
  start();
  deliver(0, 1);
  deliver(1, 30);
  ASSERT_TRUE(got(1));
  on_loop([&] {
    sink_.holds = false;
    sink_.got.clear();
    for (auto& done : std::exchange(sink_.held, {})) done({.outcome = Sent::Outcome::again, .why = "busy"});
  });
  restore();
  ASSERT_TRUE(got(10));
  EXPECT_EQ(numbers(), range(0, 10));
}

TEST_F(DurableOutlet, SamplesOfALaterVersionStayForIt) {
  sink_.up = false;
  start();
  deliver(0, 10);
  ASSERT_TRUE(stored(10));
  stop();
  {
    spool::Options raw;
    raw.folder = folder_ + "/buffers/line.fake";
    raw.cursors = {"sink"};
    raw.by_priority = true;
    auto spool = spool::Spool::open(raw, spool::local_storage(), base::system_clock());
    ASSERT_TRUE(spool) << spool.error().detail;
    (*spool)->append({{0, 0, 1, "\x7f of another form"}}, {});
    (*spool)->close();
  }
  sink_.up = true;
  for (int life = 0; life < 2; ++life) {
    start();
    deliver(10 + life, 11 + life);
    ASSERT_TRUE(got(static_cast<std::size_t>(11 + life)));
    EXPECT_TRUE(until([&] { return outlet_->status().status.detail.find("a later version") != std::string::npos; }));
    EXPECT_TRUE(until([&] { return outlet_->status().waiting == 1; })) << "it waits, and nothing else";
    stop();
  }
  EXPECT_EQ(numbers(), range(0, 12)) << "what is behind it goes out, and once";
}

TEST_F(DurableOutlet, ABufferThatCannotBeOpenedIsNotRemovedWhileASinkWantsIt) {
  options_.key = base::Secret(std::string(32, 'a'));
  sink_.up = false;
  start();
  deliver(0, 10);
  ASSERT_TRUE(stored(10));
  stop();
  options_.key = base::Secret(std::string(32, 'b'));
  start();
  ASSERT_TRUE(until([&] { return !store_->status().front().trouble.empty(); }));
  auto removed = store_->remove("buffers/line.fake");
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, Errc::failed_precondition);
  EXPECT_THAT(removed.error().detail, HasSubstr("another key"));
  stop();
  options_.key = base::Secret(std::string(32, 'a'));
  sink_.up = true;
  start();
  ASSERT_TRUE(got(10)) << "with its key all is there";
  stop();
  options_.key = base::Secret(std::string(32, 'b'));
  start();
  deliver(10, 11);
  stop();
  EXPECT_TRUE(until([&] { return !store_->status().front().in_use; })) << "nobody wants it any more";
  EXPECT_TRUE(store_->remove("buffers/line.fake"));
}

TEST_F(DurableOutlet, ABufferThatAnotherProcessWorksOnIsNotRemoved) {
  sink_.up = false;
  start();
  deliver(0, 10);
  ASSERT_TRUE(stored(10));
  stop();
  auto other = spool::local_storage().lock(folder_ + "/buffers/line.fake", {});
  ASSERT_TRUE(other);
  auto removed = store_->remove("buffers/line.fake");
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, Errc::failed_precondition);
  other->reset();
  EXPECT_TRUE(store_->remove("buffers/line.fake"));
}

TEST_F(DurableOutlet, ABufferInUseCannotBeRemovedAndOneLeftOverCan) {
  sink_.up = false;
  start();
  deliver(0, 10);
  ASSERT_TRUE(stored(10));
  EXPECT_EQ(store_->remove("buffers/line.fake").error().code, Errc::failed_precondition);
  stop();
  ASSERT_THAT(store_->status(), SizeIs(1));
  EXPECT_FALSE(store_->status().front().in_use);
  EXPECT_GT(store_->status().front().stats.bytes, 0U);
  EXPECT_EQ(store_->remove("buffers/../../etc").error().code, Errc::not_found);
  EXPECT_TRUE(store_->remove("buffers/line.fake"));
  EXPECT_THAT(store_->status(), IsEmpty());
}

}  // namespace
}  // namespace penstock::ingest
