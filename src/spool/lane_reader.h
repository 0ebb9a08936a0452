// Reads a lane from one place on: entry by entry, from segment to segment.
#pragma once

#include <memory>
#include <vector>

#include "spool/lane.h"

namespace penstock::spool {

// Used by one thread.
class LaneReader {
 public:
  // Begins with the first entry above `after`.
  LaneReader(Lane& lane, std::uint64_t after) : lane_(&lane), after_(after) {}

  // The next entry; null: none yet. Errors: unavailable (the file cannot be read now; tried again next time, and the
  // third time left out), backpressure (no descriptor or memory now; tried again).
  Result<Entry*> front();
  // The caller took what front() gave.
  void pop() { after_ = entries_[position_++].sequence; }

 private:
  Result<bool> load();
  Result<void> enter(const Segment& segment);
  Result<void> failed(const Segment& segment, const Error& error);
  bool give_up(std::uint64_t segment, std::uint64_t offset, const Error& error);
  void take(const Segment& segment, const Found& found);

  Lane* lane_;
  std::uint64_t after_;
  std::uint64_t segment_ = 0;  // first of the one being read; 0: none
  std::unique_ptr<SegmentReader> reader_;
  std::unique_ptr<Cipher> cipher_;
  std::vector<Entry> entries_;
  std::size_t position_ = 0;
  std::uint64_t failed_at_ = 0;  // the place that was tried last
  int failures_ = 0;
  std::uint64_t unreadable_ = 0;  // the segment in which a place was given up
};

}  // namespace penstock::spool
