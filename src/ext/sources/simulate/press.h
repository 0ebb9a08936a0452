// A press that is not there: how its bearing sounds and how warm it is while it wears out, and what stopping it does.
//
// A spot on a bearing's outer race is run over by every rolling element; each hit makes the housing ring at a frequency
// of its own and die away. So the vibration of a worn bearing is a train of short bursts at the ball pass frequency,
// over the shaft's own turning and noise (P. D. McFadden, J. D. Smith: Model for the vibration produced by a single
// point defect in a rolling element bearing, Journal of Sound and Vibration 96, 1984).
#pragma once

#include <random>
#include <vector>

#include "base/clock.h"

namespace penstock::ext {

class SimulatedPress {
 public:
  static constexpr double kValuesPerSecond = 5120;
  static constexpr std::size_t kValues = 1024;  // of one reading: 0.2 s
  static constexpr double kShaftHz = 25;
  static constexpr double kBallPassHz = 107.4;  // of the outer race
  static constexpr double kRingHz = 1800;       // of the housing

  struct Reading {
    std::vector<double> vib;  // mm/s
    double temp = 0;          // degC
    double speed = 0;         // turns per second; 0 while it stands
    double wear = 0;          // the truth: 0 new, 1 worn out
  };

  // A bearing is worn out after `life` of running. A press that stands gets a new one after `repair` and runs again.
  SimulatedPress(base::Duration life, base::Duration repair, std::uint64_t seed);

  // `now` never runs backwards.
  Reading read(base::SteadyTime now);
  void stop(base::SteadyTime now);
  bool stopped() const { return stopped_; }

 private:
  void go_on(base::SteadyTime now);
  double vibration(std::size_t index, double wear);

  const base::Duration life_;
  const base::Duration repair_;
  std::mt19937_64 random_;
  std::normal_distribution<double> noise_;
  base::SteadyTime seen_{};
  base::SteadyTime stopped_at_{};
  base::Duration ran_{};  // since the bearing was new
  double temp_ = 41;
  double turn_ = 0;  // phase of the shaft at the beginning of the next reading, seconds
  bool stopped_ = false;
};

}  // namespace penstock::ext
