// The reading end of a spool: hands out what is stored, oldest first or live first, until it is confirmed.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ingest/sequence_set.h"
#include "rt/loop.h"
#include "spool/spool.h"

namespace penstock::ingest {

struct FollowerOptions {
  std::vector<std::string> cursors;  // all are moved; it begins at the first
  std::uint64_t after = 0;           // or here, when that is later
  std::size_t memory = 10'000;       // samples in memory, at most; what is read may exceed it by one reading
  bool live_first = false;
  double replay = 0;                                    // samples per second that are read from the disk; 0: any
  std::shared_ptr<const std::string> origin = nullptr;  // with the position the name of samples that have none
};

// The disk is the truth and memory a window on it: a sample that was stored a moment ago comes straight from memory
// while this keeps up, everything else is read. On one loop; samples handed out are confirmed or put back.
class Follower : public std::enable_shared_from_this<Follower> {
 public:
  struct Taken {
    std::vector<Sample> samples;
    bool replayed = false;  // from the backlog
  };

  // `ready` is told when something may be taken after nothing was; never within take().
  Follower(rt::Loop& loop, std::shared_ptr<spool::Spool> spool, FollowerOptions options, std::function<void()> ready);

  // These were stored, the first of them as `first`. In the order in which the spool said so.
  void stored(std::uint64_t first, std::vector<Sample> samples);
  // Samples that go out together, at most `count`; nothing when there is none right now. Without `backlog` only live
  // ones.
  Taken take(std::size_t count, bool backlog = true);
  // The peer has them, or will never take them. `replayed` as when they were taken.
  void confirmed(const std::vector<Run>& runs, bool replayed);
  // They were taken and will be taken again, from the disk. Newest first, rewind() behind the last.
  void put_back(const std::vector<Run>& runs);
  // Begins again with the oldest that is neither confirmed nor taken. Until the next take() nothing is held in memory.
  void rewind();
  // Goes on with the same log, which was opened anew; what is handed out stays so.
  void reopen(std::shared_ptr<spool::Spool> spool);
  // Writes down what was confirmed out of order, so that whoever reads on after this one leaves it out.
  void keep();
  // Samples below this wait on the disk.
  void set_least(Priority least);

  // Everything up to here is confirmed or gone.
  std::uint64_t cursor() const { return cursor_; }
  // Everything that was stored is handed out or confirmed.
  bool drained() const { return !behind_ && window_.empty() && live_.empty(); }
  // Stored and not confirmed; an upper bound after gaps.
  std::uint64_t backlog() const {
    return newest_ > cursor_ ? newest_ - cursor_ - std::min(newest_ - cursor_, done_.size()) : 0;
  }
  std::uint64_t replayed() const { return replayed_; }      // samples from the backlog that were confirmed
  std::uint64_t unreadable() const { return unreadable_; }  // samples whose bytes are damaged: given up
  // Samples of a later version of Penstock were found: they stay on the disk for it, until a bound drops them.
  bool later() const { return later_; }
  const spool::Spool& spool() const { return *spool_; }

 private:
  void hold(std::deque<Sample>& where, std::vector<Sample>&& samples);
  Taken take_from(std::deque<Sample>& from, std::size_t count, std::uint64_t last);
  void read_more();
  void have_read(std::uint64_t generation, Result<spool::Spool::Entries> entries);
  void pass(const spool::Entry& entry);
  bool wanted(const Sample& sample) const { return sample.priority >= least_; }
  std::size_t allowance(std::size_t wanted);
  void done_with(Run run);
  void advance();
  void place(Sample& sample, std::uint64_t position) const;

  rt::Loop& loop_;
  std::shared_ptr<spool::Spool> spool_;
  const FollowerOptions options_;
  const std::function<void()> ready_;
  rt::Timer timer_;       // until the replay rate allows more
  rt::Timer read_timer_;  // armed: a reading failed, and is not tried again before
  rt::Timer keep_timer_;
  std::deque<Sample> window_;  // ascending; all above the cursor
  std::deque<Sample> live_;    // ascending; only with live_first
  SequenceSet done_;           // confirmed or absent, above the cursor
  SequenceSet dealt_with_;     // the same and what lies below `least_` and waits; while something does
  SequenceSet claimed_;        // handed out, or in live_
  std::uint64_t cursor_ = 0;
  std::uint64_t newest_ = 0;        // the last one that was stored
  std::uint64_t read_at_ = 0;       // everything up to here is done, claimed, in the window or passed over
  std::uint64_t from_disk_to_ = 0;  // samples in the window up to this were read from the disk
  std::uint64_t generation_ = 0;    // of readings: an answer to an older one is nobody's
  bool behind_ = true;              // the disk may hold more behind read_at_
  bool reading_ = false;
  bool paused_ = false;
  bool passed_over_ = false;  // some are left on the disk for being below `least_`
  Priority least_ = Priority::bulk;
  double tokens_ = 0;
  base::SteadyTime filled_at_{};
  std::uint64_t replayed_ = 0;
  std::uint64_t unreadable_ = 0;
  bool later_ = false;
};

}  // namespace penstock::ingest
