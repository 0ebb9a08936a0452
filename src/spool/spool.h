// A durable queue on disk: what `append` said yes to is there after kill -9 and power loss, until every cursor has
// acknowledged it or a bound dropped it. Segments of frames with checksums; see README.md for the files' form.
//
// Threads: each spool has one thread, which alone touches the files. Any thread may call any member; callbacks run on
// the spool's thread, must not block or throw, and may call members of the spool except close().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "spool/storage.h"

namespace penstock::spool {

// The longest entry: 16 MiB.
inline constexpr std::size_t kEntryBytesMax = std::size_t{16} << 20U;
// Lanes of their own when `by_priority`; higher priorities share the last one.
inline constexpr std::uint8_t kLanes = 3;
// Cursors of one spool, and the length of their names.
inline constexpr std::size_t kCursorsMax = 64;
inline constexpr std::size_t kCursorNameMax = 128;

struct Entry {
  std::uint64_t sequence = 0;  // given by the spool; what the caller sets is ignored
  base::WallMicros time = 0;   // the caller's; 0: the wall clock when it was appended
  std::uint8_t priority = 1;   // 0 bulk, 1 normal, 2 alarm
  std::string bytes;
};

// From first to last, both included.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool operator==(const Range&) const = default;
};
using Ranges = std::vector<Range>;  // ascending and apart

// When an append counts as stored.
enum class Sync : std::uint8_t {
  batch,     // after fdatasync; all that waits shares one
  interval,  // when written; synced within `sync_every`: a power loss costs what came since, a killed process nothing
  none,      // when written; the kernel decides when it reaches the disk
};

// What happens to an append that exceeds a bound or finds the disk full.
enum class Full : std::uint8_t {
  refuse,       // resource_exhausted
  drop_oldest,  // whole segments make room, with `by_priority` of the lowest priority first, never of a higher one
  drop_newest,  // the append is dropped: `stored` hears 0
};

struct Options {
  std::string folder;                  // made (0700) when absent; nothing else may live in it
  std::vector<std::string> cursors;    // a new one begins before the oldest entry; those not named here are forgotten
  std::uint64_t bytes_max = 1 << 30U;  // all segments, as they lie on the disk; at least 256 KiB
  std::uint64_t records_max = 0;       // 0: no bound
  base::Duration age_max{};            // since it was appended; 0: no bound; to within a sixteenth
  std::uint64_t free_bytes_min = 0;    // left free on the file system for others
  std::size_t waiting_bytes_max = 16 << 20U;  // of appends not written yet; more is refused with backpressure
  std::uint64_t segment_bytes = 0;            // 0: a sixteenth of bytes_max, between 64 KiB and 8 MiB
  Full full = Full::drop_oldest;
  bool by_priority = false;  // a lane of segments per priority; reading stays in the order of sequence
  Sync sync = Sync::batch;
  base::Duration sync_every = std::chrono::milliseconds(100);
  bool compress = true;        // zstd, per frame, where it makes it smaller
  base::Secret key;            // 32 bytes: AES-256-GCM; empty: not encrypted. What was written before stays as it is
  base::Duration lock_wait{};  // how long open() waits for another process to let go of the folder
  // Hears, in words for people, of what was damaged, set aside, dropped because the disk is full, or could not be
  // synced. On the spool's thread, or within open().
  std::function<void(const std::string&)> report;
};

// As of at most 50 ms ago.
struct Stats {
  std::uint64_t bytes = 0;    // segments on the disk, acknowledged entries of unfinished segments included
  std::uint64_t records = 0;  // in them
  std::uint64_t segments = 0;
  std::uint64_t backlog = 0;  // records the slowest cursor has not acknowledged (estimated after gaps)
  std::map<std::string, std::uint64_t> backlogs;  // the same by cursor
  base::Duration oldest_age{};       // of the oldest entry in the backlog; 0: none. Clock jumps do not change it
  std::uint64_t first_sequence = 0;  // oldest on the disk; 0: none
  std::uint64_t last_sequence = 0;   // newest readable, or the last one given out
  std::uint64_t appended = 0;        // records, since open
  std::uint64_t read = 0;            // records, since open
  std::uint64_t dropped = 0;         // records a bound dropped unacknowledged, or dropped as newest, since open
  std::uint64_t refused = 0;         // records refused, since open
  std::uint64_t damaged = 0;         // places where bytes could not be read, since open
  std::uint64_t set_aside = 0;       // damaged segments kept as *.corrupt
  std::uint64_t failures = 0;        // writes and syncs that failed, since open
  std::uint64_t syncs = 0;           // since open
  base::Duration sync_total{};       // time they took
  base::Duration sync_longest{};
  bool disk_full = false;  // the last append found no room
};

class Spool {
 public:
  // The sequence of the first of the entries, which are numbered without gaps; 0: dropped by `Full::drop_newest`.
  // Errors: resource_exhausted (a bound, the disk is full), backpressure (too much waits), out_of_range (an entry too
  // long), unavailable (the disk fails; tried twice), cancelled (closed).
  using Stored = std::function<void(Result<std::uint64_t> first_sequence)>;
  using Entries = std::vector<Entry>;

  // Blocks for reading the unfinished segments: not on a loop. Damaged data never fails it. `storage` and `clock`
  // outlive the spool. Errors: already_exists (another spool has the folder), failed_precondition (written under
  // another key, or by a later version), permission_denied, unavailable (also: no thread for it), backpressure (no
  // descriptor or memory for it now), invalid_argument (options).
  static Result<std::shared_ptr<Spool>> open(Options options, Storage& storage, const base::Clock& clock);
  ~Spool();  // as close()
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void append(Entries entries, Stored stored);
  // Entries with sequences above `after`, oldest first; at least one if there is any, else as many as `bytes_max`
  // holds. Empty: nothing there yet. Not told for entries that are not `stored` yet. Unreadable ones are left out and
  // reported.
  void read(std::uint64_t after, std::size_t bytes_max, std::function<void(Result<Entries>)> done);
  // The last sequence that was acknowledged: 0 when none was or the name is unknown.
  std::uint64_t cursor(const std::string& name) const;
  // Everything up to `sequence` was dealt with. Lower ones than before are ignored. On the disk within 100 ms: after a
  // crash some may be read again.
  void acknowledge(const std::string& name, std::uint64_t sequence);
  // All above the cursor that was dealt with out of order, as of now. On the disk within 5 s and when it is closed:
  // after a crash some may be read again. The reader leaves them out: read() does not.
  void acknowledge_ahead(const std::string& name, Ranges ranges);
  // The same of priorities from `least` on alone, while lower ones wait: what was written with `by_priority` makes
  // room. Known until it is closed.
  void acknowledge_from(const std::string& name, std::uint8_t least, Ranges ranges);
  // What was acknowledged ahead of all priorities, above the cursor.
  Ranges acknowledged_ahead(const std::string& name) const;
  // Called after entries became readable, on the spool's thread. One listener; {} removes it, and once on_append()
  // returned to another thread the old one is not running.
  void on_append(std::function<void()> told);
  Stats stats() const;
  // Sixteen hexadecimal digits, made when the folder was: sequences never repeat under one identity.
  const std::string& identity() const;
  // Writes and syncs what waits, keeps the cursors, ends the thread. Appends and reads after it are cancelled. Blocks;
  // not from a callback.
  void close();

 private:
  class Worker;
  explicit Spool(std::shared_ptr<Worker> worker);
  std::shared_ptr<Worker> worker_;
};

}  // namespace penstock::spool
