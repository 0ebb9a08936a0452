// Media that fail, and bytes that changed.
#include <gmock/gmock.h>

#include "spool/crc32c.h"
#include "spool/test/log_fixture.h"

namespace penstock::spool {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

using LogDamage = LogTest;

TEST_F(LogDamage, AFailedSyncIsNotTriedAgainOnTheSameSegment) {
  open();
  fill(3);
  auto before = files(".seg");
  storage.failing_syncs = 1;
  ASSERT_TRUE(store(kilobyte(3)));
  EXPECT_THAT(files(".seg"), SizeIs(before.size() + 1));
  EXPECT_THAT(all(), SizeIs(4)) << "and nothing is there twice";
  EXPECT_TRUE(reported("cannot sync"));
  EXPECT_EQ(log->stats().failures, 1U);
  storage.lose_power(Unsynced::dropped, 0);
  open();
  EXPECT_THAT(all(), SizeIs(4));
}

TEST_F(LogDamage, AMediumThatDoesNotSyncIsNotBelieved) {
  open();
  fill(3);
  storage.failing_syncs = 1000;
  auto failed = store(kilobyte(3));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::unavailable);
  EXPECT_THAT(all(), SizeIs(3));
  storage.failing_syncs = 0;
  std::uint64_t last = log->last();
  EXPECT_GT(*store(kilobyte(4)), last);
  EXPECT_THAT(all(), SizeIs(4));
  storage.lose_power(Unsynced::dropped, 0);
  open();
  EXPECT_THAT(all(), SizeIs(4));
}

TEST_F(LogDamage, AShortWriteLeavesNothingHalf) {
  open();
  fill(3);
  storage.failing_writes = 1;
  ASSERT_TRUE(store(kilobyte(3)));
  EXPECT_THAT(all(), SizeIs(4));
  open();
  EXPECT_THAT(all(), SizeIs(4));
  EXPECT_EQ(log->stats().damaged, 0U);
}

TEST_F(LogDamage, WithIntervalWhatIsWrittenCountsAndIsSyncedSoon) {
  options.sync = Sync::interval;
  open();
  fill(3);
  ASSERT_TRUE(log->due());
  EXPECT_EQ(log->stats().syncs, 0U);
  clock.advance(std::chrono::milliseconds(100));
  log->tend();
  EXPECT_EQ(log->stats().syncs, 1U);
  fill(2, 3);
  storage.failing_syncs = 1;
  clock.advance(std::chrono::milliseconds(100));
  log->tend();
  EXPECT_TRUE(reported("cannot sync"));
  fill(2, 5);
  EXPECT_THAT(all(), SizeIs(7));
  EXPECT_THAT(files(".seg"), SizeIs(2));
}

TEST_F(LogDamage, DamagedBytesCostTheirFrameOnly) {
  open();
  fill(30);
  log->close();
  auto segments = files(".seg");
  ASSERT_GT(segments.size(), 3U);
  storage.flip(segments[1], 3000);
  storage.flip(segments[2], 85);
  open();
  auto left = all();
  EXPECT_THAT(left, SizeIs(28));
  EXPECT_THAT(left, Contains("000029"));
  EXPECT_EQ(log->stats().damaged, 2U);
  EXPECT_TRUE(reported("are damaged and left out"));
  EXPECT_THAT(all(), SizeIs(28));
  EXPECT_EQ(log->stats().damaged, 2U) << "a place is told of once";
  log->acknowledge("sink", log->last());
  log->tend();
  EXPECT_THAT(files(".corrupt"), SizeIs(2));
  EXPECT_EQ(log->stats().set_aside, 2U);
  EXPECT_TRUE(reported("is kept as"));
  open();
  EXPECT_EQ(log->stats().set_aside, 2U);
}

TEST_F(LogDamage, EveryByteOfASegmentMayBeDamaged) {
  open();
  fill(6);
  log->close();
  log = nullptr;
  std::string path = files(".seg").front();
  std::size_t size = storage.inode(path)->bytes.size();
  for (std::size_t at = 0; at < size; at += at < 200 || at > size - 300 ? 1 : 61) {
    FaultyStorage before = storage;
    auto inode = std::make_shared<FaultyStorage::Inode>(*storage.inode(path));
    storage.flip(path, at);
    open();
    EXPECT_GE(all().size(), 5U) << "byte " << at;
    EXPECT_TRUE(store("goes on"));
    log = nullptr;
    storage = before;
    *storage.inode(path) = *inode;
  }
}

TEST_F(LogDamage, DamagedSegmentsOfAnUnfinishedRunAreReadAndKept) {
  open();
  fill(30);
  log = nullptr;
  auto segments = files(".seg");
  storage.flip(segments.back(), 300);
  storage.flip(segments.front(), 10);
  open();
  EXPECT_THAT(all(), SizeIs(29));
  EXPECT_TRUE(reported("is damaged"));
  log->acknowledge("sink", log->last());
  log->tend();
  EXPECT_THAT(files(".corrupt"), SizeIs(2));
}

TEST_F(LogDamage, ATornTailIsCutWithoutAWord) {
  open();
  fill(5);
  log = nullptr;
  std::string path = files(".seg").back();
  auto inode = storage.inode(path);
  inode->bytes += inode->bytes.substr(kSegmentHeaderBytes, 700);
  open();
  EXPECT_THAT(all(), SizeIs(5));
  EXPECT_THAT(reports, IsEmpty());
  EXPECT_EQ(log->stats().damaged, 0U);
}

TEST_F(LogDamage, WhatIsKeptAsideIsBounded) {
  open();
  fill(200);
  log->close();
  log = nullptr;
  for (const std::string& path : files(".seg")) storage.flip(path, 200);
  open();
  EXPECT_THAT(all(), SizeIs(testing::Gt(150)));
  log->acknowledge("sink", log->last());
  log->tend();
  EXPECT_THAT(files(".corrupt"), SizeIs(8));
}

TEST_F(LogDamage, SegmentsOfAnotherBufferAreSetAside) {
  open();
  fill(3);
  log->close();
  log = nullptr;
  auto foreign = std::make_shared<FaultyStorage::Inode>(*storage.inode(files(".seg").front()));
  storage = FaultyStorage();
  open();
  log = nullptr;
  {
    auto made = storage.open("log/p1/00000000000000000001.seg", Open::create);
  }
  *storage.inode("log/p1/00000000000000000001.seg") = *foreign;
  open();
  EXPECT_THAT(all(), IsEmpty());
  EXPECT_TRUE(reported("belongs to another buffer"));
  EXPECT_THAT(files(".corrupt"), SizeIs(1));
}

TEST_F(LogDamage, SectorsThatCannotBeReadHoldUpNothing) {
  open();
  fill(30);
  storage.failing_reads_in = files(".seg")[1].substr(4);
  storage.failing_reads = 3;
  EXPECT_FALSE(log->read(7, 2000));
  auto second = log->read(7, 2000);
  auto third = log->read(7, 2000);
  EXPECT_FALSE(second);
  ASSERT_TRUE(third);
  EXPECT_FALSE(third->empty());
  EXPECT_EQ(log->stats().damaged, 1U);
  // What fails once only is read.
  storage.failing_reads_in = files(".seg")[3].substr(4);
  storage.failing_reads = 1;
  EXPECT_FALSE(log->read(21, 2000));
  EXPECT_EQ(log->read(21, 2000)->front().sequence, 22U);
}

// A whole segment goes at once behind the first place that was tried three times, and is kept.
TEST_F(LogDamage, AMediumThatReadsNothingOfASegmentHoldsUpNothing) {
  options.segment_bytes = 256 << 10U;
  options.bytes_max = 4 << 20U;
  open();
  fill(600);
  ASSERT_GT(files(".seg").size(), 2U);
  storage.failing_reads_in = files(".seg")[1].substr(4);
  storage.failing_reads = 1'000'000;
  std::uint64_t after = 0;
  int failures = 0;
  while (after < log->last()) {
    auto entries = log->read(after, 20'000);
    if (!entries) ASSERT_LT(++failures, 3) << entries.error().detail;
    if (entries) after = entries->back().sequence;
  }
  EXPECT_TRUE(reported("cannot read"));
  EXPECT_TRUE(reported("are damaged and left out"));
  log->acknowledge("sink", log->last());
  log->tend();
  EXPECT_THAT(files(".corrupt"), SizeIs(1));
}

TEST_F(LogDamage, ASegmentThatCannotBeOpenedHoldsUpNothing) {
  open();
  fill(30);
  storage.failing_reads_in = files(".seg")[1].substr(4);
  storage.failing_opens = 1'000'000;
  EXPECT_FALSE(log->read(7, 2000));
  EXPECT_FALSE(log->read(7, 2000));
  auto third = log->read(7, 2000);
  ASSERT_TRUE(third);
  EXPECT_GT(third->front().sequence, 8U);
  EXPECT_EQ(log->stats().damaged, 1U);
  EXPECT_TRUE(reported("cannot open"));
  log->close();
  log = nullptr;
  open();
  EXPECT_THAT(files(".corrupt"), SizeIs(1)) << "the others are there all the same";
  EXPECT_THAT(all(), SizeIs(testing::Gt(20)));
}

// No descriptor is left: that is about this process, and says nothing of what lies on the disk.
TEST_F(LogDamage, WhatTheProcessLacksCostsNoSegment) {
  open();
  fill(30);
  storage.failing_reads_in = files(".seg")[1].substr(4);
  storage.opens_fail_with = Errc::backpressure;
  storage.failing_opens = 10;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(log->read(7, 2000)) << i;
  EXPECT_EQ(log->read(7, 2000)->front().sequence, 8U);
  EXPECT_EQ(log->stats().damaged, 0U);
  log->close();
  log = nullptr;
  storage.failing_opens = 1;
  auto refused = Log::open(options, storage, clock);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::backpressure);
  EXPECT_THAT(files(".corrupt"), testing::IsEmpty());
  open();
  EXPECT_THAT(all(), SizeIs(30));
}

// The unfinished segment is opened a second time, to count what is in it.
TEST_F(LogDamage, WhatTheProcessLacksAtAScanCostsNoSegment) {
  open();
  fill(3);
  log = nullptr;
  storage.opens_fail_with = Errc::backpressure;
  storage.failing_opens = 1;
  storage.failing_opens_after = 1;
  storage.failing_reads_in = ".seg";
  EXPECT_FALSE(Log::open(options, storage, clock));
  open();
  EXPECT_THAT(all(), SizeIs(3));
}

TEST_F(LogDamage, AStateThatCannotBeReadLosesNoEntry) {
  open();
  fill(5);
  log->acknowledge("sink", 2);
  log->close();
  log = nullptr;
  const std::uint64_t last = 5;
  storage.failing_reads_in = "state";
  storage.failing_reads = 2;
  open();
  EXPECT_THAT(all(), SizeIs(5));
  EXPECT_TRUE(reported("counts as not acknowledged"));
  EXPECT_GT(*store(kilobyte(6)), last);
}

TEST_F(LogDamage, SegmentsOfALaterVersionAreNotTouched) {
  open();
  fill(3);
  log->close();
  log = nullptr;
  const std::string path = files(".seg").front();
  std::string& bytes = storage.inode(path)->bytes;
  bytes[8] = static_cast<char>(kSegmentVersion + 1);
  const std::uint32_t crc = crc32c(std::string_view(bytes).substr(16, kSegmentHeaderBytes - 16),
                                   crc32c(std::string_view(bytes).substr(8, 4)));
  std::memcpy(bytes.data() + 12, &crc, sizeof crc);
  auto opened = Log::open(options, storage, clock);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::failed_precondition);
  EXPECT_THAT(opened.error().detail, testing::HasSubstr("a later version"));
  EXPECT_THAT(files(".seg"), Contains(path));
}

TEST_F(LogDamage, StrangersFilesAreLeftAlone) {
  ASSERT_TRUE(make_path(storage, "log/p1"));
  {
    auto made = storage.open("log/p1/notes.txt", Open::create);
  }
  {
    auto made = storage.open("log/p1/123.seg", Open::create);
  }
  open();
  fill(3);
  log->close();
  open();
  EXPECT_THAT(all(), SizeIs(3));
  EXPECT_THAT(storage.paths(), Contains("log/p1/notes.txt"));
  EXPECT_THAT(storage.paths(), Contains("log/p1/123.seg"));
}

}  // namespace
}  // namespace penstock::spool
