#include "ingest/time_buffer.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using base::WallMicros;

constexpr WallMicros kSecond = 1'000'000;
constexpr WallMicros kNoon = 1'700'000'000 * kSecond;

Sample sample_at(WallMicros event, WallMicros ingest) {
  Sample sample;
  sample.event_time = event;
  sample.ingest_time = ingest;
  return sample;
}

// A step's time, told ten times a second.
struct Ticking {
  void until(WallMicros now) {
    for (; wall < now; wall += kSecond / 10) time.tick(wall);
    time.tick(wall = now);
  }
  WallMicros wall = kNoon;
  TickTime time;
};

TEST(SeriesClock, OfALiveSeriesGoesOnAfterASecondOfSilence) {
  Ticking gateway;
  gateway.until(kNoon);
  SeriesClock clock;
  EXPECT_FALSE(clock.started());
  clock.note(sample_at(kNoon - 2 * kSecond, kNoon), gateway.time);
  gateway.until(kNoon + kSecond);
  EXPECT_EQ(clock.at(gateway.time), kNoon - 2 * kSecond);
  gateway.until(kNoon + 5 * kSecond);
  EXPECT_EQ(clock.at(gateway.time), kNoon + 2 * kSecond);
  EXPECT_EQ(clock.at(gateway.time, 0), kNoon + 3 * kSecond);
}

TEST(SeriesClock, OfABacklogGoesOnOnlyAfterALongPause) {
  Ticking gateway;
  gateway.until(kNoon);
  SeriesClock clock;
  const WallMicros old = kNoon - 3600 * kSecond;
  clock.note(sample_at(old, kNoon), gateway.time);
  gateway.until(kNoon + 29 * kSecond);
  EXPECT_EQ(clock.at(gateway.time), old);
  EXPECT_EQ(clock.at(gateway.time, 0), old);
  gateway.until(kNoon + 35 * kSecond);
  EXPECT_EQ(clock.at(gateway.time), old + 5 * kSecond);
}

TEST(SeriesClock, CountsTheSilenceHereNotTheWayHere) {
  Ticking gateway;
  gateway.until(kNoon);
  SeriesClock clock;
  // Arrived an hour ago, and waited in a journal.
  const WallMicros old = kNoon - 3600 * kSecond;
  clock.note(sample_at(old, old), gateway.time);
  gateway.until(kNoon + kSecond);
  EXPECT_EQ(clock.silent(gateway.time), kSecond);
  EXPECT_EQ(clock.at(gateway.time), old);
}

TEST(SeriesClock, ADeviceWhoseTimeStandsStillIsSilent) {
  Ticking gateway;
  gateway.until(kNoon);
  SeriesClock clock;
  for (int i = 0; i < 50; ++i) {
    clock.note(sample_at(kNoon, gateway.wall), gateway.time);
    gateway.until(gateway.wall + kSecond / 10);
  }
  EXPECT_EQ(clock.at(gateway.time), kNoon + 4 * kSecond);
}

TEST(SeriesClock, AJumpOfTheGatewaysClockIsNoSilence) {
  for (WallMicros jump : {3600 * kSecond, -3600 * kSecond}) {
    Ticking gateway;
    gateway.until(kNoon);
    SeriesClock clock;
    clock.note(sample_at(kNoon, kNoon), gateway.time);
    gateway.wall += jump;
    gateway.until(gateway.wall);
    EXPECT_EQ(clock.at(gateway.time), kNoon) << jump;
    EXPECT_LE(clock.silent(gateway.time), kSecond) << jump;
    gateway.until(gateway.wall + 60 * kSecond);
    EXPECT_GT(clock.at(gateway.time), kNoon + 25 * kSecond) << jump << ": silence goes on to count";
    EXPECT_LE(clock.at(gateway.time), kNoon + 61 * kSecond) << jump;
  }
}

TEST(SeriesClock, IsGoneAfterTenMinutes) {
  Ticking gateway;
  gateway.until(kNoon);
  SeriesClock clock;
  EXPECT_FALSE(clock.gone(gateway.time));
  clock.note(sample_at(kNoon, kNoon), gateway.time);
  gateway.until(kNoon + kGone);
  EXPECT_FALSE(clock.gone(gateway.time));
  gateway.until(kNoon + kGone + kSecond);
  EXPECT_TRUE(clock.gone(gateway.time));
}

TEST(SeriesClock, SeesAClockThatRanAheadAndWasSetRight) {
  Ticking gateway;
  gateway.until(kNoon);
  SeriesClock clock;
  clock.note(sample_at(kNoon + 1800 * kSecond, kNoon), gateway.time);
  EXPECT_TRUE(clock.ran_ahead(sample_at(kNoon, kNoon), gateway.time));
  EXPECT_FALSE(clock.ran_ahead(sample_at(kNoon - 1800 * kSecond, kNoon), gateway.time)) << "a straggler is no present";
  EXPECT_FALSE(clock.ran_ahead(sample_at(kNoon + 1799 * kSecond, kNoon), gateway.time));
  SeriesClock right;
  right.note(sample_at(kNoon, kNoon), gateway.time);
  EXPECT_FALSE(right.ran_ahead(sample_at(kNoon - 1800 * kSecond, kNoon), gateway.time)) << "a backlog";
}

TEST(TimeBuffer, KeepsTheOrderOfArrivalForEqualTimes) {
  TimeBuffer buffer;
  const std::pair<WallMicros, WallMicros> feed[] = {{5, 1}, {3, 2}, {5, 3}, {3, 4}, {4, 5}, {9, 6}};
  for (const auto& [event, ingest] : feed) buffer.insert(sample_at(event, ingest));
  std::vector<WallMicros> order;
  Sample sample;
  while (buffer.take(5, sample)) order.push_back(sample.ingest_time);
  EXPECT_EQ(order, (std::vector<WallMicros>{2, 4, 5, 1, 3}));
  EXPECT_TRUE(buffer.late(sample_at(4, 0)));
  EXPECT_FALSE(buffer.late(sample_at(5, 0)));
  EXPECT_EQ(buffer.size(), 1U);
}

}  // namespace
}  // namespace penstock::ingest
