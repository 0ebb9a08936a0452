// The segments of one priority: a folder, of which the last file is being written.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "spool/segment.h"

namespace penstock::spool {

struct LaneSettings {
  Storage* storage = nullptr;
  std::string folder;
  std::uint8_t number = 0;
  bool apart = false;                 // it is given entries of its priority alone
  std::uint64_t identity = 0;         // of the spool; 0: not known, any will do
  std::uint64_t segment_bytes = 0;    // begins a new one rather than grow beyond
  std::uint64_t segment_records = 0;  // the same by records; 0: no bound
  std::int64_t segment_micros = 0;    // the same by log time; 0: no bound
  bool sync = true;                   // finished segments and names are synced
  base::Secret key;                   // empty: not encrypted
  std::function<void(const std::string&)> report;
};

struct LaneFigures {
  std::uint64_t failures = 0;
  std::uint64_t damaged = 0;
  std::uint64_t syncs = 0;
  base::Duration sync_total{};
  base::Duration sync_longest{};
};

// Used by one thread.
class Lane {
 public:
  explicit Lane(LaneSettings settings) : settings_(std::move(settings)) {}

  // Makes the folder, reads what is there, finishes what a crash left unfinished. Errors: permission_denied,
  // unavailable (the folder), backpressure (no descriptor or memory now), failed_precondition (encrypted under another
  // key, no key given, or of a later version).
  Result<void> open();

  // ---- Writing: prepare(), put() and flush() for a group, then commit() or roll_back(). One group goes to one
  // segment. The segment for a group of about `bytes` that begins with `first`. The cipher is null when not encrypted.
  Result<Cipher*> prepare(std::uint64_t first, std::uint64_t bytes, std::int64_t log_time, std::uint64_t identity);
  void put(const FrameHeader& header, std::string_view frame);
  // With `sync` what was put is on the medium afterwards.
  Result<void> flush(bool sync);
  // What was put is readable.
  void commit();
  // What was put is gone. The segment is not written to any more: after a failed sync nobody knows what a second one of
  // the same bytes means.
  void roll_back();
  // What was committed without. After a failure the segment is closed.
  Result<void> sync();
  bool unsynced() const { return unsynced_; }
  // Ends the current segment, if there is one, with its summary.
  void finish();

  // ---- The segments, oldest first.
  const std::deque<Segment>& segments() const { return segments_; }
  bool is_current(const Segment& segment) const { return writing_ != nullptr && &segment == &segments_.back(); }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t records() const { return records_; }
  // The highest sequence that any name or frame here speaks of.
  std::uint64_t highest() const { return highest_; }
  // Removes the one that begins with `first`; a damaged one is set aside instead. There must be one.
  void drop(std::uint64_t first);
  // The one that holds the first entry above `after`; null: none. Pointers are good until the lane changes.
  const Segment* find(std::uint64_t after) const;
  const Segment* at(std::uint64_t first) const;
  const Segment* behind(std::uint64_t first) const;
  std::string path(std::uint64_t first) const { return settings_.folder + "/" + segment_name(first); }
  // Reports, once, bytes of a segment that cannot be read.
  void note_damage(std::uint64_t first, std::uint64_t from, std::uint64_t to, std::string_view why);

  const LaneSettings& settings() const { return settings_; }
  const LaneFigures& figures() const { return figures_; }
  std::uint64_t set_aside_count() const { return aside_.size(); }

 private:
  struct Writing {
    std::unique_ptr<File> file;
    std::unique_ptr<Cipher> cipher;
    std::string buffer;                                         // behind Segment::bytes
    std::vector<std::pair<FrameHeader, std::uint64_t>> frames;  // in it, each with its end in the file
  };

  Result<void> open_one(std::uint64_t first, bool newest);
  Result<void> check_key(const SegmentHeader& header) const;
  Result<void> scan(Segment& segment, std::uint64_t size, bool header_good);
  void end_torn(Segment& segment, std::uint64_t size);
  Result<void> begin(std::uint64_t first, std::int64_t log_time, std::uint64_t identity);
  bool takes(std::uint64_t bytes, std::int64_t log_time) const;
  Result<void> write_summary(File& file, Segment& segment);
  Result<void> sync_file(File& file);
  Result<void> sync_names();
  void failed(const Error& error);
  void set_aside(std::uint64_t first);
  void remove_file(const std::string& path);
  void report(const std::string& text) const;
  std::uint64_t point_step() const { return std::max<std::uint64_t>(64 << 10U, settings_.segment_bytes / 128); }

  LaneSettings settings_;
  LaneFigures figures_;
  std::deque<Segment> segments_;
  std::unique_ptr<Writing> writing_;  // of segments_.back()
  std::set<std::string> aside_;       // names of damaged files that are kept
  std::uint64_t bytes_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t highest_ = 0;
  bool unsynced_ = false;
  bool names_unsynced_ = false;
};

}  // namespace penstock::spool
