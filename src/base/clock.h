// Time as an object, so that tests own it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace penstock::base {

using Duration = std::chrono::nanoseconds;
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Microseconds since the Unix epoch, UTC: the one wall-clock representation on samples, events, logs and rows.
using WallMicros = std::int64_t;

// Thread-safe: any thread may read any clock.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime steady() const = 0;
  virtual WallMicros wall() const = 0;
};

// The machine's own clocks.
const Clock& system_clock();

// RFC 3339 with milliseconds and Z: 2026-01-31T12:00:00.123Z
std::string to_rfc3339(WallMicros time);

// Moves only when told. Single-threaded tests only.
class FakeClock : public Clock {
 public:
  SteadyTime steady() const override { return steady_; }
  WallMicros wall() const override { return wall_; }
  void advance(Duration by) {
    steady_ += by;
    wall_ += std::chrono::duration_cast<std::chrono::microseconds>(by).count();
  }
  void set_wall(WallMicros wall) { wall_ = wall; }

 private:
  SteadyTime steady_{std::chrono::hours(1)};
  WallMicros wall_ = 1'700'000'000'000'000;
};

}  // namespace penstock::base
