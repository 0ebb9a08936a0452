// Holds the samples of one series back until stragglers had their time, and gives them out in the order of event time.
#pragma once

#include <algorithm>
#include <deque>
#include <limits>

#include "ingest/sample.h"

namespace penstock::ingest {

// A sample may be this far ahead of its arrival; beyond that its clock is broken.
constexpr base::WallMicros kAheadMax = 3'600'000'000;
// What a silent series gets on top of its lateness before its clock is carried on.
constexpr base::WallMicros kSilence = 1'000'000;

inline bool from_the_future(const Sample& sample) {
  return sample.ingest_time != 0 && sample.event_time - sample.ingest_time > kAheadMax;
}

// The clock of one series: its newest event time, carried on by the time that passed here while it is silent.
struct SeriesClock {
  base::WallMicros newest = std::numeric_limits<base::WallMicros>::min();
  base::WallMicros newest_ingest = 0;

  bool started() const { return newest != std::numeric_limits<base::WallMicros>::min(); }
  void note(const Sample& sample) {
    if (sample.event_time < newest) return;
    newest = sample.event_time;
    newest_ingest = sample.ingest_time;
  }
  // Event time at `now`, as far as silence allows to say; never before `newest`.
  base::WallMicros at(base::WallMicros now) const {
    return started() ? std::max(newest, newest + (now - newest_ingest) - kSilence) : newest;
  }
};

// Samples of equal time keep their order of arrival.
class TimeBuffer {
 public:
  // True for a sample older than one that was given out already: it is too late to have its place.
  bool late(const Sample& sample) const { return sample.event_time < given_; }

  // Not for a late sample.
  void insert(Sample sample) {
    auto place = waiting_.end();
    while (place != waiting_.begin() && std::prev(place)->event_time > sample.event_time) --place;
    waiting_.insert(place, std::move(sample));
  }
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
