#include "spool/lane.h"

namespace penstock::spool {
namespace {

// Damaged segments that are kept for a look at them; the oldest makes room.
constexpr std::size_t kAsideMax = 8;
constexpr std::string_view kAsideEnding = ".corrupt";

}  // namespace

// ---- Opening

Result<void> Lane::open() {
  if (auto made = settings_.storage->make_folder(settings_.folder); !made) return made;
  auto names = settings_.storage->list(settings_.folder);
  if (!names) return std::unexpected(names.error());
  std::set<std::uint64_t> firsts;
  for (const std::string& name : *names) {
    if (name.ends_with(kAsideEnding)) aside_.insert(name);
    if (auto first = segment_first(name)) firsts.insert(*first);
  }
  for (std::uint64_t first : firsts) {
    highest_ = std::max(highest_, first);
    if (auto opened = open_one(first, first == *firsts.rbegin()); !opened) return opened;
  }
  return {};
}

Result<void> Lane::check_key(const SegmentHeader& header) const {
  if (!header.encrypted) return {};
  if (settings_.key.empty()) {
    return fail(
        Errc::failed_precondition,
        fmt::format("the buffer '{}' holds entries that are encrypted, and no key is given: give it (`key`), or "
                    "move the folder away",
                    settings_.folder));
  }
  if (Cipher(settings_.key, header.salt).key_check() == header.key_check) return {};
  return fail(Errc::failed_precondition,
              fmt::format("the buffer '{}' holds entries that were encrypted under another key: give that one (`key`), "
                          "or move the folder away",
                          settings_.folder));
}

Result<void> Lane::open_one(std::uint64_t first, bool newest) {
  auto file = settings_.storage->open(path(first), Open::read);
  if (!file && file.error().code == Errc::unavailable) {
    failed(file.error());
    set_aside(first);
    return {};
  }
  if (!file) return std::unexpected(file.error());
  auto opened = open_segment(**file, first);
  if (!opened && opened.error().code == Errc::backpressure) return std::unexpected(opened.error());
  if (!opened) {
    failed(opened.error());
    set_aside(first);
    return {};
  }
  if (opened->version > kSegmentVersion) {
    return fail(
        Errc::failed_precondition,
        fmt::format("'{}' is of form {}, which a later version of Penstock writes (this one reads up to {}): run "
                    "that version, or move the folder '{}' away",
                    path(first), opened->version, kSegmentVersion, settings_.folder));
  }
  Segment& segment = opened->segment;
  if (opened->header_good) {
    if (auto fits = check_key(segment.header); !fits) return fits;
    if (settings_.identity != 0 && segment.header.identity != settings_.identity) {
      report(fmt::format("'{}' belongs to another buffer", path(first)));
      set_aside(first);
      return {};
    }
  }
  if (!opened->summarized) {
    if (auto scanned = scan(segment, opened->size, opened->header_good); !scanned) {
      if (scanned.error().code == Errc::backpressure) return scanned;
      failed(scanned.error());
      set_aside(first);
      return {};
    }
  }
  if (segment.records == 0) {
    // The beginning of a segment that a crash interrupted, unless something else stands in it.
    if (newest || opened->size <= kSegmentHeaderBytes) {
      remove_file(path(first));
    } else {
      report(fmt::format("nothing in '{}' can be read", path(first)));
      ++figures_.damaged;
      set_aside(first);
    }
    return {};
  }
  highest_ = std::max(highest_, segment.last);
  segments_.push_back(std::move(segment));
  bytes_ += segments_.back().bytes;
  records_ += segments_.back().records;
  if (segments_.back().damaged_to != 0) {
    ++figures_.damaged;
    report(fmt::format("'{}' is damaged: {} records of it can be read, the file is kept as {} when they were",
                       path(first), segments_.back().records, kAsideEnding));
  } else if (!segments_.back().finished) {
    end_torn(segments_.back(), opened->size);
  }
  return {};
}

// Counts what is whole, from the beginning to the end.
Result<void> Lane::scan(Segment& segment, std::uint64_t size, bool header_good) {
  auto file = settings_.storage->open(path(segment.first), Open::read);
  if (!file) return std::unexpected(file.error());
  SegmentHeader header = std::move(segment.header);
  std::uint64_t first = segment.first;
  segment = Segment();
  segment.first = first;
  segment.header = std::move(header);
  SegmentReader reader(std::move(*file), header_good ? kSegmentHeaderBytes : 0);
  while (true) {
    auto found = reader.next(size);
    if (!found) return std::unexpected(found.error());
    if (found->what == Found::What::end) break;
    bool entries = found->what == Found::What::frame && found->header.kind == FrameKind::entries;
    if (entries && found->header.first > segment.last) {
      segment.note(found->header, found->offset, found->end, point_step());
    } else if (found->what == Found::What::damage || entries) {
      segment.damaged_to = found->end;
    } else {
      break;
    }
  }
  if (!header_good && segment.records > 0) segment.damaged_to = std::max<std::uint64_t>(segment.damaged_to, 1);
  // Behind the last whole frame of a segment without damage stands only what a crash interrupted.
  if (segment.damaged()) segment.bytes = size;
  return {};
}

void Lane::end_torn(Segment& segment, std::uint64_t size) {
  auto file = settings_.storage->open(path(segment.first), Open::write);
  if (!file) return failed(file.error());
  if (size > segment.bytes) {
    if (auto cut = (*file)->truncate(segment.bytes); !cut) return failed(cut.error());
  }
  bytes_ -= segment.bytes;
  if (auto written = write_summary(**file, segment); !written) failed(written.error());
  bytes_ += segment.bytes;
}

// ---- Writing

bool Lane::takes(std::uint64_t bytes, std::int64_t log_time) const {
  const Segment& now = segments_.back();
  if (now.records == 0) return true;
  if (now.bytes + bytes > settings_.segment_bytes) return false;
  if (settings_.segment_records != 0 && now.records >= settings_.segment_records) return false;
  return settings_.segment_micros == 0 || log_time - now.first_at < settings_.segment_micros;
}

Result<Cipher*> Lane::prepare(std::uint64_t first, std::uint64_t bytes, std::int64_t log_time, std::uint64_t identity) {
  if (writing_ && !takes(bytes, log_time)) finish();
  if (!writing_) {
    if (auto begun = begin(first, log_time, identity); !begun) return std::unexpected(begun.error());
  }
  return writing_->cipher.get();
}

Result<void> Lane::begin(std::uint64_t first, std::int64_t log_time, std::uint64_t identity) {
  auto file = settings_.storage->open(path(first), Open::create);
  if (!file) {
    ++figures_.failures;
    return std::unexpected(file.error());
  }
  names_unsynced_ = true;
  auto writing = std::make_unique<Writing>();
  writing->file = std::move(*file);
  Segment segment;
  segment.first = first;
  segment.header.identity = identity;
  segment.header.first_sequence = first;
  segment.header.made_at = log_time;
  segment.header.lane = settings_.number;
  segment.header.apart = settings_.apart;
  if (!settings_.key.empty()) {
    segment.header.encrypted = true;
    segment.header.salt = make_salt();
    writing->cipher = std::make_unique<Cipher>(settings_.key, segment.header.salt);
    segment.header.key_check = writing->cipher->key_check();
  }
  writing->buffer = encode(segment.header);
  highest_ = std::max(highest_, first);
  segments_.push_back(std::move(segment));
  writing_ = std::move(writing);
  return {};
}

void Lane::put(const FrameHeader& header, std::string_view frame) {
  writing_->buffer += frame;
  writing_->frames.emplace_back(header, segments_.back().bytes + writing_->buffer.size());
}

Result<void> Lane::flush(bool sync) {
  auto done = writing_->file->write(segments_.back().bytes, writing_->buffer);
  if (done && sync) done = sync_file(*writing_->file);
  if (done && sync) done = sync_names();
  if (!done) ++figures_.failures;
  if (done && !sync) unsynced_ = true;
  return done;
}

void Lane::commit() {
  if (!writing_) return;
  Segment& segment = segments_.back();
  std::uint64_t bytes_before = segment.bytes;
  std::uint64_t records_before = segment.records;
  std::uint64_t offset = segment.bytes + (segment.bytes == 0 ? kSegmentHeaderBytes : 0);
  for (const auto& [header, end] : writing_->frames) {
    segment.note(header, offset, end, point_step());
    offset = end;
  }
  bytes_ += segment.bytes - bytes_before;
  records_ += segment.records - records_before;
  highest_ = std::max(highest_, segment.last);
  writing_->buffer.clear();
  writing_->frames.clear();
}

void Lane::roll_back() {
  if (!writing_ || writing_->buffer.empty()) return;
  Segment& segment = segments_.back();
  if (segment.records == 0) {
    writing_ = nullptr;
    remove_file(path(segment.first));
    segments_.pop_back();
    return;
  }
  if (auto cut = writing_->file->truncate(segment.bytes); !cut) failed(cut.error());
  writing_ = nullptr;
}

Result<void> Lane::sync() {
  unsynced_ = false;
  if (!writing_) return sync_names();
  auto done = sync_file(*writing_->file);
  if (done) done = sync_names();
  if (done) return done;
  failed(done.error());
  writing_ = nullptr;
  return done;
}

void Lane::finish() {
  if (!writing_) return;
  std::unique_ptr<Writing> writing = std::move(writing_);
  Segment& segment = segments_.back();
  bytes_ -= segment.bytes;
  if (auto written = write_summary(*writing->file, segment); !written) {
    failed(written.error());
    (void)writing->file->truncate(segment.bytes);
  }
  bytes_ += segment.bytes;
  unsynced_ = false;
}

Result<void> Lane::write_summary(File& file, Segment& segment) {
  Summary summary{segment.records, segment.last, segment.first_at, segment.last_at, segment.points};
  std::string bytes = encode(summary);
  if (auto written = file.write(segment.bytes, bytes); !written) return written;
  if (settings_.sync) {
    if (auto synced = sync_file(file); !synced) return synced;
    if (auto synced = sync_names(); !synced) return synced;
  }
  segment.bytes += bytes.size();
  segment.finished = true;
  return {};
}

Result<void> Lane::sync_file(File& file) {
  auto begun = std::chrono::steady_clock::now();
  auto synced = file.sync();
  base::Duration took = std::chrono::steady_clock::now() - begun;
  ++figures_.syncs;
  figures_.sync_total += took;
  figures_.sync_longest = std::max(figures_.sync_longest, took);
  return synced;
}

Result<void> Lane::sync_names() {
  if (!names_unsynced_) return {};
  auto synced = settings_.storage->sync_folder(settings_.folder);
  if (synced) names_unsynced_ = false;
  return synced;
}

// ---- The segments

void Lane::drop(std::uint64_t first) {
  const auto dropped =
      std::find_if(segments_.begin(), segments_.end(), [&](const Segment& segment) { return segment.first == first; });
  if (is_current(*dropped)) {
    writing_ = nullptr;
    unsynced_ = false;
  }
  bytes_ -= dropped->bytes;
  records_ -= dropped->records;
  if (dropped->damaged()) {
    set_aside(first);
  } else {
    remove_file(path(first));
  }
  segments_.erase(dropped);
}

const Segment* Lane::find(std::uint64_t after) const {
  auto found = std::upper_bound(segments_.begin(), segments_.end(), after,
                                [](std::uint64_t sequence, const Segment& s) { return sequence < s.last; });
  return found == segments_.end() ? nullptr : &*found;
}

const Segment* Lane::at(std::uint64_t first) const {
  auto found = std::lower_bound(segments_.begin(), segments_.end(), first,
                                [](const Segment& s, std::uint64_t wanted) { return s.first < wanted; });
  return found == segments_.end() || found->first != first ? nullptr : &*found;
}

const Segment* Lane::behind(std::uint64_t first) const {
  auto found = std::upper_bound(segments_.begin(), segments_.end(), first,
                                [](std::uint64_t wanted, const Segment& s) { return wanted < s.first; });
  return found == segments_.end() || found->records == 0 ? nullptr : &*found;
}

void Lane::note_damage(std::uint64_t first, std::uint64_t from, std::uint64_t to, std::string_view why) {
  const Segment* known = at(first);
  if (known == nullptr || to <= known->damaged_to) return;
  const_cast<Segment*>(known)->damaged_to = to;
  ++figures_.damaged;
  report(fmt::format("'{}': bytes {} to {} are damaged and left out{}{}", path(first), from, to,
                     why.empty() ? "" : ": ", why));
}

void Lane::set_aside(std::uint64_t first) {
  std::string name = fmt::format("{:020}{}", first, kAsideEnding);
  if (auto renamed = settings_.storage->rename(path(first), settings_.folder + "/" + name); !renamed)
    return failed(renamed.error());
  names_unsynced_ = true;
  aside_.insert(name);
  report(fmt::format("the damaged part of the buffer is kept as '{}/{}'", settings_.folder, name));
  while (aside_.size() > kAsideMax) {
    remove_file(settings_.folder + "/" + *aside_.begin());
    aside_.erase(aside_.begin());
  }
}

void Lane::remove_file(const std::string& path) {
  if (auto removed = settings_.storage->remove(path); !removed) return failed(removed.error());
  names_unsynced_ = true;
}

void Lane::failed(const Error& error) {
  ++figures_.failures;
  report(error.detail);
}

void Lane::report(const std::string& text) const {
  if (settings_.report) settings_.report(text);
}

}  // namespace penstock::spool
