// Streaming anomaly detection for one series: no training, bounded memory, O(1) amortised per value, deterministic.
//
// A few plain views of the series (its level, its departure from the recent level, its scatter, its departure from the
// season, the novelty of its recent course) each learn how they are distributed; a value is scored by how far out in
// these tails it takes the series, against the alarm level: what counts as surprising at all, what this series often
// shows, or the last surprise while that one fades. README.md has the whole story and the measured rates.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "ext/steps/anomaly/pattern.h"
#include "ext/steps/anomaly/running_mean.h"
#include "ext/steps/anomaly/season.h"
#include "ext/steps/anomaly/tail.h"

namespace penstock::ext::anomaly {

enum class Sensitivity : std::uint8_t { low, normal, high };

struct Settings {
  enum class Season : std::uint8_t { automatic, none, fixed };
  Season season = Season::automatic;  // automatic looks for an hour, a day and a week
  base::Duration period{};            // of a fixed season
  Sensitivity sensitivity = Sensitivity::normal;
  bool operator==(const Settings&) const = default;
};

// Not thread-safe. About 50 KiB once warm.
class Detector {
 public:
  explicit Detector(const Settings& settings);

  // Scores the value, then learns it. 0 <= score < 1; 0.5 and above is an anomaly. 0 for the first values (warm-up) and
  // for a value that is not finite, which is otherwise ignored. `at` should not run backwards; when it does only the
  // season is confused. Values are clamped to +-1e15.
  double score(base::WallMicros at, double value);

  // The views of the series, in the order of surprises().
  enum View : std::size_t {
    level,
    departure,
    recent_mean,
    long_mean,
    scatter,
    season,
    long_season,
    shape,
    long_shape,
    kViews
  };
  // How surprising each view found the last value (-ln of a tail probability, 0 in the body): why it scored as it did.
  const std::array<double, kViews>& surprises() const { return surprises_; }

 private:
  void start(base::WallMicros at, double value);
  void notice_gap(base::WallMicros at);
  void judge(View view, double feature, double resolution);
  void judge_level(double value);
  void judge_season(base::WallMicros at, double value);
  double combined() const;
  double against_alarm_level(double surprise);

  double alarm_surprise_;
  double own_margin_;
  std::array<TwoTails, kViews> tails_;
  Tail own_;  // how surprising this series usually is
  std::array<double, kViews> surprises_{};
  std::vector<Profile> profiles_;
  PatternMemory shapes_;
  PatternMemory long_shapes_;
  RunningMean recent_;
  RunningMean long_;
  RunningMean season_distance_;
  std::int64_t seen_ = 0;
  base::WallMicros last_at_ = 0;
  double usual_interval_ = 0;  // microseconds
  double last_ = 0;
  double level_ = 0;
  double slow_level_ = 0;
  double log_scatter_ = 0;
  double usual_step_ = 0;  // mean of the differences that are not zero
  std::int64_t steps_seen_ = 0;
  double fading_ = 0;  // the last surprise, forgotten exponentially
};

}  // namespace penstock::ext::anomaly
