#include "spool/log.h"

#include <random>

namespace penstock::spool {
namespace {

// Sequences are set aside so many at a time: after a crash at most as many are never used.
constexpr std::uint64_t kReserve = std::uint64_t{1} << 17U;
// More than can have been given out since the state that is still readable, if a newer one may be lost.
constexpr std::uint64_t kReserveLost = 16 * kReserve;
// What entries, frames, and the header and summary of a segment take beside the bytes of the entries, at most.
constexpr std::uint64_t kEntryExtra = 24;
constexpr std::uint64_t kFrameExtra = 80;
constexpr std::uint64_t kSegmentExtra = 4096;
constexpr std::uint64_t kSegmentBytesMin = 64 << 10U;
constexpr std::uint64_t kSegmentBytesUsual = 8 << 20U;
constexpr std::uint64_t kBytesMin = 256 << 10U;
// Places where reads ended that are remembered: a few sinks and a look at it.
constexpr std::size_t kPlacesMax = 4;
constexpr base::Duration kSaveEvery = std::chrono::milliseconds(100);
constexpr base::Duration kSaveAheadsEvery = std::chrono::seconds(5);
constexpr base::Duration kLookAtFree = std::chrono::seconds(1);
constexpr std::uint64_t kLookAtFreeBytes = 1 << 20U;
constexpr base::Duration kTellAgain = std::chrono::minutes(1);
constexpr std::size_t kToldMax = 16;
// Segments that one group may push out when the disk, not a bound of ours, is full.
constexpr int kPushedOutMax = 2;

std::uint64_t bytes_of(const std::vector<Entry>& entries) {
  std::uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.bytes.size() + kEntryExtra;
  return bytes;
}

std::uint64_t segment_bytes_for(const Options& options) {
  if (options.segment_bytes != 0) return options.segment_bytes;
  return std::clamp(options.bytes_max / 16, kSegmentBytesMin, std::max(kSegmentBytesUsual, options.bytes_max / 1024));
}

Result<void> check(const Options& options) {
  auto wrong = [&](std::string_view what) {
    return fail(Errc::invalid_argument, fmt::format("the buffer '{}': {}", options.folder, what));
  };
  if (options.folder.empty()) return wrong("it has no folder");
  if (options.bytes_max < kBytesMin) return wrong("it must have 256 KiB at least");
  if (!options.key.empty() && options.key.reveal().size() != kKeyBytes) return wrong("its key must have 32 bytes");
  if (options.cursors.size() > kCursorsMax) return wrong("it has too many cursors: 64 are enough");
  for (const std::string& name : options.cursors) {
    if (name.empty() || name.size() > kCursorNameMax) return wrong("a cursor's name has 1 to 128 bytes");
  }
  return {};
}

std::uint64_t make_identity() {
  std::random_device random;
  std::uint64_t identity = 0;
  while (identity == 0) identity = (std::uint64_t{random()} << 32U) | random();
  return identity;
}

}  // namespace

// ---- Opening

Log::Log(Options options, Storage& storage, const base::Clock& clock)
    : options_(std::move(options)),
      storage_(&storage),
      clock_(&clock),
      log_clock_(clock),
      builder_(options_.compress),
      save_aheads_every_(kSaveAheadsEvery),
      save_every_(kSaveEvery) {}

Result<std::unique_ptr<Log>> Log::open(Options options, Storage& storage, const base::Clock& clock) {
  if (auto checked = check(options); !checked) return std::unexpected(checked.error());
  std::unique_ptr<Log> log(new Log(std::move(options), storage, clock));
  if (auto opened = log->open_files(); !opened) return std::unexpected(opened.error());
  return log;
}

Result<void> Log::open_files() {
  if (auto made = make_path(*storage_, options_.folder); !made) return made;
  auto lock = storage_->lock(options_.folder, options_.lock_wait);
  if (!lock) return std::unexpected(lock.error());
  lock_ = std::move(*lock);
  auto file = StateFile::open(*storage_, options_.folder);
  if (!file) return std::unexpected(file.error());
  state_file_ = std::make_unique<StateFile>(std::move(*file));
  state_ = state_file_->found();
  bool had_state = state_.identity != 0;
  if (auto opened = open_lanes(); !opened) return opened;
  resume(had_state);
  load_ahead();
  // Names: of the lanes' folders and of the state file.
  if (auto saved = save_state(); !saved) return saved;
  if (auto synced = storage_->sync_folder(options_.folder); !synced) return synced;
  release(true);
  return {};
}

LaneSettings Log::lane_settings(std::uint8_t number) {
  LaneSettings settings;
  settings.storage = storage_;
  settings.folder = fmt::format("{}/p{}", options_.folder, number);
  settings.number = number;
  settings.apart = options_.by_priority;
  settings.identity = state_.identity;
  settings.segment_bytes = segment_bytes_for(options_);
  settings.segment_records = options_.records_max == 0 ? 0 : std::max<std::uint64_t>(1, options_.records_max / 16);
  settings.segment_micros = std::chrono::duration_cast<std::chrono::microseconds>(options_.age_max).count() / 16;
  settings.sync = options_.sync != Sync::none;
  settings.key = options_.key;
  settings.report = [this](const std::string& text) { tell(text); };
  return settings;
}

Result<void> Log::open_lanes() {
  for (std::uint8_t number = 0; number < kLanes; ++number) {
    lanes_.push_back(std::make_unique<Lane>(lane_settings(number)));
    if (auto opened = lanes_.back()->open(); !opened) return opened;
  }
  return {};
}

// Sequences, log time and cursors go on where they were, from what the segments say where the state file is lost.
void Log::resume(bool had_state) {
  std::uint64_t highest = 0;
  std::int64_t newest = 0;
  std::uint64_t identity = 0;
  for (const auto& lane : lanes_) {
    highest = std::max(highest, lane->highest());
    for (const Segment& segment : lane->segments()) {
      newest = std::max(newest, segment.last_at);
      if (segment.header.identity != 0) identity = segment.header.identity;
    }
  }
  next_ = std::max(state_.reserved, highest + 1);
  if (state_file_->damaged() || (!had_state && highest > 0)) next_ += kReserveLost;
  if (!had_state && highest > 0) {
    tell(fmt::format("'{}/state' could not be read: everything in the buffer counts as not acknowledged",
                     options_.folder));
  }
  if (state_.identity == 0) state_.identity = identity != 0 ? identity : make_identity();
  next_ = std::max<std::uint64_t>(next_, 1);
  state_.reserved = std::max(state_.reserved, next_);
  log_clock_.resume(state_.log_time, state_.wall, newest);
  std::map<std::string, std::uint64_t> cursors;
  for (const std::string& name : options_.cursors) {
    auto known = state_.cursors.find(name);
    cursors[name] = known == state_.cursors.end() ? 0 : std::min(known->second, next_ - 1);
  }
  state_.cursors = std::move(cursors);
}

Result<void> Log::save_state() {
  state_.log_time = log_clock_.now();
  state_.wall = clock_->wall();
  auto begun = clock_->steady();
  auto saved = state_file_->save(state_);
  saved_at_ = clock_->steady();
  // A medium on which a sync takes long is not kept busy with cursors.
  save_every_ = std::max<base::Duration>(kSaveEvery, 20 * (saved_at_ - begun));
  if (saved) {
    cursors_changed_ = false;
  } else {
    ++stats_.failures;
    tell(saved.error().detail);
  }
  return saved;
}

// What is lost of it is only delivered again.
void Log::load_ahead() {
  auto found = load_aheads(*storage_, options_.folder, state_.identity);
  if (!found) return tell(found.error().detail);
  for (auto& [name, ranges] : *found) {
    auto cursor = state_.cursors.find(name);
    if (cursor != state_.cursors.end()) aheads_[name] = above(ranges, cursor->second);
  }
}

void Log::save_ahead() {
  for (auto& [name, ranges] : aheads_) ranges = above(ranges, state_.cursors.at(name));
  auto begun = clock_->steady();
  auto saved = save_aheads(*storage_, options_.folder, state_.identity, aheads_);
  aheads_saved_at_ = clock_->steady();
  save_aheads_every_ = std::max<base::Duration>(kSaveAheadsEvery, 20 * (aheads_saved_at_ - begun));
  aheads_changed_ = false;
  if (saved) return;
  ++stats_.failures;
  tell(saved.error().detail);
}

// ---- Bounds

Result<void> Log::check_lengths(const std::vector<Entry>& entries) const {
  for (const Entry& entry : entries) {
    if (entry.bytes.size() > kEntryBytesMax) {
      return fail(Errc::out_of_range, fmt::format("an entry of {} bytes is too long for a buffer: {} are allowed",
                                                  entry.bytes.size(), kEntryBytesMax));
    }
  }
  return {};
}

std::uint64_t Log::free_bytes() {
  bool old = clock_->steady() - free_at_ > kLookAtFree || written_since_free_ > kLookAtFreeBytes;
  if (free_at_ != base::SteadyTime{} && !old) return free_ - std::min(free_, written_since_free_);
  auto found = storage_->free_bytes(options_.folder);
  free_ = found ? *found : UINT64_MAX;
  free_at_ = clock_->steady();
  written_since_free_ = 0;
  return free_;
}

// What another group would break, in words; empty: nothing.
std::string Log::exceeded(std::uint64_t bytes, std::uint64_t records) {
  std::uint64_t held = 0;
  std::uint64_t counted = 0;
  for (const auto& lane : lanes_) {
    held += lane->bytes();
    counted += lane->records();
  }
  if (held + bytes > options_.bytes_max) return fmt::format("it has reached its {} bytes", options_.bytes_max);
  if (options_.records_max != 0 && counted + records > options_.records_max)
    return fmt::format("it has reached its {} records", options_.records_max);
  if (options_.free_bytes_min != 0 && free_bytes() < options_.free_bytes_min + bytes)
    return fmt::format("the disk has less than {} bytes left", options_.free_bytes_min);
  return {};
}

// Oldest segment of the lowest priority that is not above `priority`, if lanes are kept apart; else the oldest of all.
bool Log::drop_one(std::uint8_t priority, std::string_view why) {
  Lane* chosen = nullptr;
  for (const auto& lane : lanes_) {
    if (lane->segments().empty()) continue;
    if (options_.by_priority && lane->settings().number > std::min<int>(priority, kLanes - 1)) break;
    bool older = chosen == nullptr || lane->segments().front().first < chosen->segments().front().first;
    if (chosen == nullptr || (!options_.by_priority && older)) chosen = lane.get();
  }
  if (chosen == nullptr) return false;
  const Segment& oldest = chosen->segments().front();
  std::uint64_t lost = oldest.records_after(reached(oldest));
  stats_.dropped += lost;
  if (lost > 0) tell(fmt::format("the buffer '{}' drops its oldest entries: {}", options_.folder, why));
  chosen->drop(oldest.first);
  free_at_ = {};
  return true;
}

bool Log::make_room(std::uint64_t bytes, std::uint64_t records, std::uint8_t priority) {
  bool first = true;
  for (std::string why = exceeded(bytes, records); !why.empty(); why = exceeded(bytes, records)) {
    if (first) {
      // What is acknowledged goes before anything else, that of unfinished segments too.
      for (const auto& lane : lanes_) {
        if (!lane->segments().empty() && lane->segments().back().last <= reached(lane->segments().back()))
          lane->finish();
      }
      release(true);
      first = false;
    } else if (options_.full != Full::drop_oldest || !drop_one(priority, why)) {
      return false;
    }
  }
  return true;
}

// False: dropped by rule.
Result<bool> Log::admit(const std::vector<Entry>& entries) {
  if (auto checked = check_lengths(entries); !checked) return std::unexpected(checked.error());
  std::uint64_t bytes = bytes_of(entries) + kSegmentExtra;
  std::uint64_t records = entries.size();
  std::uint8_t priority = 0;
  for (const Entry& entry : entries) priority = std::max(priority, entry.priority);
  bool possible = bytes <= options_.bytes_max && (options_.records_max == 0 || records <= options_.records_max);
  if (possible && make_room(group_bytes_ + bytes, group_records_ + records, priority)) {
    stats_.disk_full = false;
    group_bytes_ += bytes;
    group_records_ += records;
    return true;
  }
  std::string why = exceeded(group_bytes_ + bytes, group_records_ + records);
  tell(fmt::format("the buffer '{}' is full: {}", options_.folder, why));
  // What arrives gives way to what is worth more.
  bool gives_way =
      options_.by_priority && priority + 1 < kLanes && !why.empty() &&
      std::any_of(lanes_.begin() + priority + 1, lanes_.end(), [](const auto& lane) { return lane->records() > 0; });
  if (possible && (options_.full == Full::drop_newest || (options_.full == Full::drop_oldest && gives_way))) {
    stats_.dropped += records;
    return false;
  }
  stats_.refused += records;
  return fail(Errc::resource_exhausted, fmt::format("the buffer '{}' is full: {}", options_.folder, why));
}

// ---- Writing

std::uint8_t Log::lane_of(const Entry& entry) const {
  return options_.by_priority ? std::min<std::uint8_t>(entry.priority, kLanes - 1) : std::uint8_t{1};
}

Result<void> Log::reserve(std::uint64_t count) {
  if (next_ + count <= state_.reserved) return {};
  std::uint64_t before = state_.reserved;
  state_.reserved = next_ + count + kReserve;
  auto saved = save_state();
  if (!saved) state_.reserved = before;
  return saved;
}

Result<void> Log::number(std::span<Batch*> group) {
  std::uint64_t count = 0;
  for (const Batch* batch : group) count += batch->entries->size();
  if (auto reserved = reserve(count); !reserved) return reserved;
  base::WallMicros wall = clock_->wall();
  for (Batch* batch : group) {
    batch->first = next_;
    for (Entry& entry : *batch->entries) {
      entry.sequence = next_++;
      if (entry.time == 0) entry.time = wall;
    }
  }
  return {};
}

Result<void> Log::write_lane(Lane& lane, std::span<Batch*> group) {
  std::uint8_t number = lane.settings().number;
  std::uint64_t first = 0;
  std::uint64_t bytes = kFrameExtra;
  for (const Batch* batch : group) {
    for (const Entry& entry : *batch->entries) {
      if (lane_of(entry) != number) continue;
      if (first == 0) first = entry.sequence;
      bytes += entry.bytes.size() + kEntryExtra;
    }
  }
  if (first == 0) return {};
  std::int64_t log_time = log_clock_.now();
  bytes += bytes / kFrameBytes * kFrameExtra;
  auto cipher = lane.prepare(first, bytes, log_time, state_.identity);
  if (!cipher) return std::unexpected(cipher.error());
  std::string frame;
  auto end_frame = [&] {
    FrameHeader header = builder_.header();
    frame.clear();
    builder_.finish(frame, *cipher);
    lane.put(header, frame);
  };
  for (const Batch* batch : group) {
    for (const Entry& entry : *batch->entries) {
      if (lane_of(entry) != number) continue;
      builder_.add(entry, log_time);
      if (builder_.full()) end_frame();
    }
  }
  if (!builder_.empty()) end_frame();
  auto flushed = lane.flush(options_.sync == Sync::batch);
  if (flushed) written_since_free_ += bytes;
  return flushed;
}

Result<void> Log::write_group(std::span<Batch*> group) {
  Result<void> done = number(group);
  for (const auto& lane : lanes_) {
    if (done) done = write_lane(*lane, group);
  }
  for (const auto& lane : lanes_) {
    if (done) {
      lane->commit();
    } else {
      lane->roll_back();
    }
  }
  return done;
}

void Log::store(std::span<Batch> batches) {
  std::vector<Batch*> group;
  group_bytes_ = group_records_ = 0;
  std::uint8_t priority = 0;
  for (Batch& batch : batches) {
    batch.first = next_;
    if (batch.entries->empty()) continue;
    auto admitted = admit(*batch.entries);
    batch.first = admitted ? Result<std::uint64_t>(0) : std::unexpected(admitted.error());
    if (!admitted || !*admitted) continue;
    group.push_back(&batch);
    for (const Entry& entry : *batch.entries) priority = std::max(priority, entry.priority);
  }
  if (group.empty()) return;
  // Once more, in another segment and under other numbers: never the same bytes to the same place.
  Result<void> done = write_group(group);
  for (int tries = 0; !done && tries < kPushedOutMax; ++tries) {
    tell(done.error().detail);
    bool full = done.error().code == Errc::resource_exhausted;
    stats_.disk_full = stats_.disk_full || full;
    if (full && (options_.full != Full::drop_oldest || !drop_one(priority, "the disk is full"))) break;
    if (!full && tries > 0) break;
    done = write_group(group);
  }
  if (done && options_.sync == Sync::interval && unsynced_since_ == base::SteadyTime{})
    unsynced_since_ = clock_->steady();
  for (Batch* batch : group) {
    if (done) {
      stats_.appended += batch->entries->size();
    } else if (stats_.disk_full && options_.full == Full::drop_newest) {
      batch->first = 0;
      stats_.dropped += batch->entries->size();
    } else {
      batch->first = std::unexpected(done.error());
      stats_.refused += batch->entries->size();
    }
  }
}

// ---- Reading

Result<std::vector<Entry>> Log::read(std::uint64_t after, std::size_t bytes_max) {
  auto known = std::find_if(places_.begin(), places_.end(), [&](const Place& place) { return place.after == after; });
  Place place{after, {}};
  if (known != places_.end()) {
    place = std::move(*known);
    places_.erase(known);
  } else {
    for (const auto& lane : lanes_) place.lanes.emplace_back(*lane, after);
  }
  std::vector<Entry> entries;
  auto done = read_from(place, bytes_max, entries);
  stats_.read += entries.size();
  places_.push_front(std::move(place));
  if (places_.size() > kPlacesMax) places_.pop_back();
  // What was read before something failed is given out; the same place is tried again with the next call.
  if (done || !entries.empty()) return entries;
  tell(done.error().detail);
  return std::unexpected(done.error());
}

Result<void> Log::read_from(Place& place, std::size_t bytes_max, std::vector<Entry>& entries) {
  std::size_t bytes = 0;
  while (true) {
    LaneReader* lowest = nullptr;
    Entry* next = nullptr;
    for (LaneReader& lane : place.lanes) {
      auto front = lane.front();
      if (!front) return std::unexpected(front.error());
      if (*front == nullptr || (next != nullptr && (*front)->sequence > next->sequence)) continue;
      next = *front;
      lowest = &lane;
    }
    if (next == nullptr || (!entries.empty() && bytes + next->bytes.size() > bytes_max)) return {};
    bytes += next->bytes.size();
    place.after = next->sequence;
    entries.push_back(std::move(*next));
    lowest->pop();
  }
}

// ---- Cursors and what is due

// Up to where everything in the segment was dealt with by one cursor: it stands there, or behind what it stands before
// was dealt with out of order.
std::uint64_t Log::reached(const Segment& segment, const std::string& name, std::uint64_t cursor) const {
  if (cursor >= segment.last) return cursor;
  const std::uint64_t next = std::max(cursor + 1, segment.first);
  std::uint64_t reached = cursor;
  auto look = [&](const Ranges& ranges) {
    auto range = std::lower_bound(ranges.begin(), ranges.end(), next,
                                  [](const Range& one, std::uint64_t wanted) { return one.last < wanted; });
    if (range != ranges.end() && range->first <= next) reached = std::max(reached, range->last);
  };
  if (auto ahead = aheads_.find(name); ahead != aheads_.end()) look(ahead->second);
  auto part = parts_.find(name);
  if (part != parts_.end() && segment.header.apart && segment.header.lane >= part->second.least)
    look(part->second.ranges);
  return reached;
}

// The same by all of them.
std::uint64_t Log::reached(const Segment& segment) const {
  std::uint64_t lowest = UINT64_MAX;
  for (const auto& [name, cursor] : state_.cursors) lowest = std::min(lowest, reached(segment, name, cursor));
  return state_.cursors.empty() ? 0 : lowest;
}

void Log::acknowledge(const std::string& name, std::uint64_t sequence) {
  auto cursor = state_.cursors.find(name);
  sequence = std::min(sequence, next_ - 1);
  if (cursor == state_.cursors.end() || sequence <= cursor->second) return;
  cursor->second = sequence;
  cursors_changed_ = true;
}

void Log::acknowledge_ahead(const std::string& name, Ranges ranges) {
  if (!state_.cursors.contains(name)) return;
  Ranges& before = aheads_[name];
  aheads_changed_ = aheads_changed_ || before != ranges;
  before = std::move(ranges);
  more_dealt_with_ = true;
}

void Log::acknowledge_from(const std::string& name, std::uint8_t least, Ranges ranges) {
  if (!state_.cursors.contains(name)) return;
  parts_[name] = {std::min<std::uint8_t>(least, kLanes - 1), std::move(ranges)};
  more_dealt_with_ = true;
}

// Removes the segments that are dealt with; without `all` only those before the first that is not.
void Log::release(bool all) {
  for (const auto& lane : lanes_) {
    std::vector<std::uint64_t> done;
    for (const Segment& segment : lane->segments()) {
      const bool over = segment.last <= reached(segment) && !lane->is_current(segment);
      if (over) done.push_back(segment.first);
      if (!over && !all) break;
    }
    for (std::uint64_t first : done) lane->drop(first);
  }
}

void Log::tend() {
  base::SteadyTime now = clock_->steady();
  if (unsynced_since_ != base::SteadyTime{} && now - unsynced_since_ >= options_.sync_every) {
    unsynced_since_ = {};
    for (const auto& lane : lanes_) {
      if (lane->unsynced()) (void)lane->sync();
    }
  }
  release(std::exchange(more_dealt_with_, false));
  std::int64_t oldest =
      log_clock_.now() - std::chrono::duration_cast<std::chrono::microseconds>(options_.age_max).count();
  for (const auto& lane : lanes_) {
    while (options_.age_max > base::Duration{} && !lane->segments().empty() &&
           lane->segments().front().last_at < oldest) {
      const Segment& front = lane->segments().front();
      const std::uint64_t lost = front.records_after(reached(front));
      stats_.dropped += lost;
      if (lost > 0) tell(fmt::format("the buffer '{}' drops entries that are too old for it", options_.folder));
      lane->drop(front.first);
    }
  }
  if (cursors_changed_ && now - saved_at_ >= save_every_) (void)save_state();
  if (aheads_changed_ && now - aheads_saved_at_ >= save_aheads_every_) save_ahead();
}

std::optional<base::SteadyTime> Log::due() const {
  std::optional<base::SteadyTime> due;
  auto earlier = [&](base::SteadyTime time) { due = due ? std::min(*due, time) : time; };
  if (unsynced_since_ != base::SteadyTime{}) earlier(unsynced_since_ + options_.sync_every);
  if (cursors_changed_) earlier(saved_at_ + save_every_);
  if (aheads_changed_) earlier(aheads_saved_at_ + save_aheads_every_);
  bool any = std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return !lane->segments().empty(); });
  if (any && options_.age_max > base::Duration{})
    earlier(clock_->steady() +
            std::clamp<base::Duration>(options_.age_max / 16, std::chrono::milliseconds(10), std::chrono::seconds(10)));
  return due;
}

void Log::close() {
  for (const auto& lane : lanes_) lane->finish();
  release(true);
  state_.reserved = next_;
  (void)save_state();
  if (aheads_changed_) save_ahead();
}

Stats Log::stats() const {
  Stats stats = stats_;
  for (const auto& [name, sequence] : state_.cursors) stats.backlogs[name] = 0;
  std::int64_t oldest = INT64_MAX;
  for (const auto& lane : lanes_) {
    stats.bytes += lane->bytes();
    stats.records += lane->records();
    stats.segments += lane->segments().size();
    stats.damaged += lane->figures().damaged;
    stats.failures += lane->figures().failures;
    stats.syncs += lane->figures().syncs;
    stats.sync_total += lane->figures().sync_total;
    stats.sync_longest = std::max(stats.sync_longest, lane->figures().sync_longest);
    stats.set_aside += lane->set_aside_count();
    bool waits = false;
    for (const Segment& segment : lane->segments()) {
      std::uint64_t slowest = state_.cursors.empty() ? 0 : UINT64_MAX;
      for (const auto& [name, cursor] : state_.cursors) {
        const std::uint64_t to = reached(segment, name, cursor);
        slowest = std::min(slowest, to);
        stats.backlogs[name] += segment.records_after(to);
      }
      stats.backlog += segment.records_after(slowest);
      if (segment.last > slowest && !std::exchange(waits, true)) oldest = std::min(oldest, segment.time_after(slowest));
    }
    if (lane->segments().empty()) continue;
    std::uint64_t first = lane->segments().front().first;
    stats.first_sequence = stats.first_sequence == 0 ? first : std::min(stats.first_sequence, first);
  }
  stats.last_sequence = next_ - 1;
  if (oldest != INT64_MAX)
    stats.oldest_age = std::chrono::microseconds(std::max<std::int64_t>(0, log_clock_.now() - oldest));
  return stats;
}

// The same words at most once a minute.
void Log::tell(const std::string& text) {
  if (!options_.report) return;
  base::SteadyTime now = clock_->steady();
  while (!told_.empty() && (told_.size() > kToldMax || now - told_.front().second > kTellAgain)) told_.pop_front();
  if (std::any_of(told_.begin(), told_.end(), [&](const auto& one) { return one.first == text; })) return;
  told_.emplace_back(text, now);
  options_.report(text);
}

}  // namespace penstock::spool
