#include "spool/lane_reader.h"

namespace penstock::spool {
namespace {

// Reads of one place that may fail before it is left out.
constexpr int kReadsMax = 3;

}  // namespace

Result<Entry*> LaneReader::front() {
  while (true) {
    while (position_ < entries_.size() && entries_[position_].sequence <= after_) ++position_;
    if (position_ < entries_.size()) return &entries_[position_];
    entries_.clear();
    position_ = 0;
    auto more = load();
    if (!more) return std::unexpected(more.error());
    if (!*more) return nullptr;
  }
}

// One step on: a frame, a damaged place, or the next segment. False: nothing there yet.
Result<bool> LaneReader::load() {
  const Segment* segment = segment_ == 0 ? nullptr : lane_->at(segment_);
  if (segment == nullptr) {
    segment = lane_->find(after_);
    if (segment == nullptr) return false;
    if (auto entered = enter(*segment); !entered) return std::unexpected(entered.error());
    if (segment_ == 0) return true;
  }
  auto found = reader_->next(segment->bytes);
  if (!found) {
    if (auto passed = failed(*segment, found.error()); !passed) return std::unexpected(passed.error());
    return true;
  }
  failures_ = 0;
  switch (found->what) {
    case Found::What::damage: lane_->note_damage(segment_, found->offset, found->end, ""); return true;
    case Found::What::frame:
      if (found->header.kind == FrameKind::summary) break;
      take(*segment, *found);
      return true;
    case Found::What::end:
      if (found->offset < found->end) lane_->note_damage(segment_, found->offset, found->end, "");
      break;
  }
  const Segment* next = lane_->is_current(*segment) ? nullptr : lane_->behind(segment_);
  if (next == nullptr) return false;
  if (auto entered = enter(*next); !entered) return std::unexpected(entered.error());
  return true;
}

Result<void> LaneReader::enter(const Segment& segment) {
  segment_ = 0;
  auto file = lane_->settings().storage->open(lane_->path(segment.first), Open::read);
  if (!file) {
    const bool removed = file.error().code == Errc::not_found;
    if (!removed && !give_up(segment.first, 0, file.error())) return std::unexpected(file.error());
    lane_->note_damage(segment.first, 0, segment.bytes, removed ? "somebody removed it" : file.error().detail);
    after_ = std::max(after_, segment.last);
    return {};
  }
  const IndexPoint* point = segment.point_for(after_);
  std::uint64_t begin = segment.header.first_sequence == 0 ? 0 : kSegmentHeaderBytes;
  reader_ = std::make_unique<SegmentReader>(std::move(*file), point != nullptr ? point->offset : begin);
  cipher_ = nullptr;
  if (segment.header.encrypted) cipher_ = std::make_unique<Cipher>(lane_->settings().key, segment.header.salt);
  segment_ = segment.first;
  return {};
}

void LaneReader::take(const Segment& segment, const Found& found) {
  if (found.header.last <= after_) return;
  if (auto decoded = decode_entries(found.header, found.body, cipher_.get(), entries_); !decoded)
    lane_->note_damage(segment.first, found.offset, found.end, decoded.error().detail);
}

// True: the medium has been tried often enough. Where one place of a segment was given up the others are not waited
// for. What this process lacks, descriptors or memory, is always waited for.
bool LaneReader::give_up(std::uint64_t segment, std::uint64_t offset, const Error& error) {
  if (error.code == Errc::backpressure) return false;
  failures_ = failed_at_ == segment + offset ? failures_ + 1 : 1;
  failed_at_ = segment + offset;
  if (failures_ < kReadsMax && unreadable_ != segment) return false;
  failures_ = 0;
  unreadable_ = segment;
  return true;
}

// A medium that cannot give some sectors must not hold up all that comes behind them.
Result<void> LaneReader::failed(const Segment& segment, const Error& error) {
  std::uint64_t offset = reader_->offset();
  if (!give_up(segment.first, offset, error)) {
    segment_ = 0;
    return std::unexpected(error);
  }
  auto next = std::find_if(segment.points.begin(), segment.points.end(),
                           [&](const IndexPoint& point) { return point.offset > offset; });
  std::uint64_t to = next == segment.points.end() ? segment.bytes : next->offset;
  lane_->note_damage(segment.first, offset, to, error.detail);
  auto file = lane_->settings().storage->open(lane_->path(segment.first), Open::read);
  if (!file) {
    segment_ = 0;
    return std::unexpected(file.error());
  }
  reader_ = std::make_unique<SegmentReader>(std::move(*file), to);
  return {};
}

}  // namespace penstock::spool
