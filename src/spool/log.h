// The spool without its thread: everything happens in the call.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "spool/ahead_file.h"
#include "spool/lane.h"
#include "spool/lane_reader.h"
#include "spool/log_clock.h"
#include "spool/state_file.h"

namespace penstock::spool {

// One append, and what became of it.
struct Batch {
  std::vector<Entry>* entries = nullptr;
  Result<std::uint64_t> first = 0;
};

// Used by one thread.
class Log {
 public:
  static Result<std::unique_ptr<Log>> open(Options options, Storage& storage, const base::Clock& clock);

  // Writes all of them as one group and, with Sync::batch, syncs once. Each batch is stored whole or not at all.
  void store(std::span<Batch> batches);
  Result<std::vector<Entry>> read(std::uint64_t after, std::size_t bytes_max);
  // Ignores unknown names and lower sequences.
  void acknowledge(const std::string& name, std::uint64_t sequence);
  // Ignores unknown names.
  void acknowledge_ahead(const std::string& name, Ranges ranges);
  void acknowledge_from(const std::string& name, std::uint8_t least, Ranges ranges);
  // What is due by now: sync, cursors, what is too old.
  void tend();
  // When tend() has something to do next; nothing: not before the next call of another member.
  std::optional<base::SteadyTime> due() const;
  Stats stats() const;
  // Ends the segments and keeps the cursors.
  void close();

  const std::map<std::string, std::uint64_t>& cursors() const { return state_.cursors; }
  const Aheads& aheads() const { return aheads_; }
  std::uint64_t last() const { return next_ - 1; }
  std::string identity() const { return fmt::format("{:016x}", state_.identity); }

 private:
  // What was dealt with of the priorities from `least` on.
  struct Part {
    std::uint8_t least = 0;
    Ranges ranges;
  };
  // Where a read ended, and the next one goes on.
  struct Place {
    std::uint64_t after = 0;
    std::vector<LaneReader> lanes;
  };

  Log(Options options, Storage& storage, const base::Clock& clock);

  Result<void> open_files();
  Result<void> open_lanes();
  LaneSettings lane_settings(std::uint8_t number);
  void resume(bool had_state);
  Result<bool> admit(const std::vector<Entry>& entries);
  Result<void> check_lengths(const std::vector<Entry>& entries) const;
  bool make_room(std::uint64_t bytes, std::uint64_t records, std::uint8_t priority);
  std::string exceeded(std::uint64_t bytes, std::uint64_t records);
  std::uint64_t free_bytes();
  bool drop_one(std::uint8_t priority, std::string_view why);
  Result<void> write_group(std::span<Batch*> group);
  Result<void> number(std::span<Batch*> group);
  Result<void> reserve(std::uint64_t count);
  Result<void> write_lane(Lane& lane, std::span<Batch*> group);
  static Result<void> read_from(Place& place, std::size_t bytes_max, std::vector<Entry>& entries);
  std::uint8_t lane_of(const Entry& entry) const;
  void release(bool all);
  std::uint64_t reached(const Segment& segment) const;
  std::uint64_t reached(const Segment& segment, const std::string& name, std::uint64_t cursor) const;
  Result<void> save_state();
  void load_ahead();
  void save_ahead();
  void tell(const std::string& text);

  Options options_;
  Storage* storage_;
  const base::Clock* clock_;
  LogClock log_clock_;
  std::unique_ptr<FolderLock> lock_;
  std::unique_ptr<StateFile> state_file_;
  SpoolState state_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  FrameBuilder builder_;
  std::uint64_t next_ = 1;
  std::uint64_t group_bytes_ = 0;  // admitted and not written
  std::uint64_t group_records_ = 0;
  std::deque<Place> places_;  // newest first
  Aheads aheads_;
  std::map<std::string, Part> parts_;  // by cursor
  bool aheads_changed_ = false;
  bool more_dealt_with_ = false;  // out of order, since the last release
  base::SteadyTime aheads_saved_at_{};
  base::Duration save_aheads_every_;
  bool cursors_changed_ = false;
  base::SteadyTime saved_at_{};
  base::Duration save_every_;
  base::SteadyTime unsynced_since_{};
  std::uint64_t free_ = 0;
  std::uint64_t written_since_free_ = 0;
  base::SteadyTime free_at_{};
  Stats stats_;  // the counters in it
  std::deque<std::pair<std::string, base::SteadyTime>> told_;
};

}  // namespace penstock::spool
