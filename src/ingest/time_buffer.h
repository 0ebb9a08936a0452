// Event time of one series: how far it has come, and samples held back in its order until stragglers had their time.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <limits>

#include "ingest/sample.h"

namespace penstock::ingest {

// A sample may be this far ahead of its arrival; beyond that its clock is broken.
constexpr base::WallMicros kAheadMax = 3'600'000'000;
// A series whose newest event time was this close to the present when it came is live; else a backlog is coming in.
constexpr base::WallMicros kLive = 60'000'000;
// How long a live series may be silent before its clock is carried on by the time that passes here, ...
constexpr base::WallMicros kSilence = 1'000'000;
// ... and one whose backlog came to a halt.
constexpr base::WallMicros kPause = 30'000'000;
// After this much silence no step holds back the journals of sources for what may yet come of a series.
constexpr base::WallMicros kGone = 600'000'000;
// Ticks come ten times a second. What is longer between two of them is a loop that stood still or a clock that was
// set: it says nothing about the devices, and counts as this much.
constexpr base::WallMicros kTickMost = 1'000'000;

inline bool from_the_future(const Sample& sample) {
  return sample.ingest_time != 0 && sample.event_time - sample.ingest_time > kAheadMax;
}

// Time as the ticks of a step tell it. One per step; a reload takes it over together with the series.
class TickTime {
 public:
  void tick(base::WallMicros now) {
    if (now_ != 0) passed_ += std::clamp<base::WallMicros>(now - now_, 0, kTickMost);
    now_ = now;
  }
  base::WallMicros now() const { return now_; }        // the gateway's clock at the last tick; 0 before the first
  base::WallMicros passed() const { return passed_; }  // since the first tick; never goes back

 private:
  base::WallMicros now_ = 0;
  base::WallMicros passed_ = 0;
};

// The clock of one series: its newest event time, carried on by the time that passes here while it is silent (ADR
// 0051). What is carried on closes what is there; it makes nothing late that comes after it.
struct SeriesClock {
  base::WallMicros newest = std::numeric_limits<base::WallMicros>::min();
  base::WallMicros newest_ingest = 0;
  base::WallMicros heard = 0;  // TickTime::passed() then

  bool started() const { return newest != std::numeric_limits<base::WallMicros>::min(); }
  void note(const Sample& sample, const TickTime& time) {
    if (sample.event_time <= newest) return;
    newest = sample.event_time;
    newest_ingest = sample.ingest_time;
    heard = time.passed();
  }
  // How long nothing newer came. A sample may have waited on its way here (in a queue, in a journal): then only the
  // time since it came through counts.
  base::WallMicros silent(const TickTime& time) const {
    const base::WallMicros since_here = time.passed() - heard;
    const base::WallMicros since_arrival = time.now() - newest_ingest;
    return since_arrival < 0 ? since_here : std::min(since_here, since_arrival);
  }
  // Event time now, as far as silence allows to say; never before `newest`. `grace`: how long a live series may be
  // silent before.
  base::WallMicros at(const TickTime& time, base::WallMicros grace = kSilence) const {
    if (!started()) return newest;
    const base::WallMicros quiet = silent(time);
    const bool live = time.now() - quiet - newest <= kLive;
    return newest + std::max<base::WallMicros>(0, quiet - (live ? grace : std::max(grace, kPause)));
  }
  bool gone(const TickTime& time) const { return started() && silent(time) > kGone; }
  // The device's clock was ahead and has been set right: this sample is of the present, what came before is ahead of
  // it. What is held belongs to another time; the series begins anew.
  bool ran_ahead(const Sample& sample, const TickTime& time) const {
    return started() && newest - sample.event_time > kLive && time.now() != 0 && newest - time.now() > kLive &&
           std::abs(sample.event_time - time.now()) <= kLive;
  }
};

// Behind those of equal time.
inline void insert_by_time(std::deque<Sample>& samples, Sample sample) {
  auto place = samples.end();
  if (!samples.empty() && samples.back().event_time > sample.event_time) {
    place = std::upper_bound(samples.begin(), samples.end(), sample.event_time,
                             [](base::WallMicros at, const Sample& other) { return at < other.event_time; });
  }
  samples.insert(place, std::move(sample));
}

// Samples of equal time keep their order of arrival.
class TimeBuffer {
 public:
  // True for a sample older than one that was given out already: it is too late to have its place.
  bool late(const Sample& sample) const { return sample.event_time < given_; }

  // Not for a late sample.
  void insert(Sample sample) { insert_by_time(waiting_, std::move(sample)); }
  // True when there is one not newer than `until`; it is moved to `sample`.
  bool take(base::WallMicros until, Sample& sample) {
    if (waiting_.empty() || waiting_.front().event_time > until) return false;
    sample = std::move(waiting_.front());
    waiting_.pop_front();
    given_ = sample.event_time;
    return true;
  }
  // A sample that does not wait, while none does.
  void pass(const Sample& sample) { given_ = sample.event_time; }
  std::size_t size() const { return waiting_.size(); }
  base::WallMicros oldest() const { return waiting_.front().event_time; }

 private:
  std::deque<Sample> waiting_;  // oldest first
  base::WallMicros given_ = std::numeric_limits<base::WallMicros>::min();
};

}  // namespace penstock::ingest
