#include "spool/segment.h"

#include <charconv>

#include "spool/crc32c.h"

namespace penstock::spool {
namespace {

constexpr std::size_t kPiece = 256 << 10U;

}  // namespace

const IndexPoint* Segment::point_for(std::uint64_t after) const {
  auto above = std::upper_bound(points.begin(), points.end(), after,
                                [](std::uint64_t sequence, const IndexPoint& p) { return sequence < p.sequence; });
  // A frame that begins at `after` + 1 is exactly wanted; else the one before may hold what comes after.
  if (above != points.end() && above->sequence == after + 1) return &*above;
  return above == points.begin() ? nullptr : &*std::prev(above);
}

std::uint64_t Segment::records_after(std::uint64_t after) const {
  if (records == 0 || after >= last) return 0;
  const IndexPoint* point = point_for(after);
  if (point == nullptr || after < first || point->sequence > after)
    return records - (point ? point->records_before : 0);
  bool final_point = point == &points.back();
  std::uint64_t until = final_point ? records : point[1].records_before;
  std::uint64_t gone = std::min(after - point->sequence + 1, until - point->records_before);
  return records - point->records_before - gone;
}

std::int64_t Segment::time_after(std::uint64_t after) const {
  const IndexPoint* point = point_for(after);
  return point != nullptr ? point->written_at : first_at;
}

void Segment::note(const FrameHeader& frame, std::uint64_t offset, std::uint64_t end, std::uint64_t step) {
  if (records == 0) first_at = frame.written_at;
  if (points.empty() || offset >= points.back().offset + step)
    points.push_back({frame.first, offset, records, frame.written_at});
  records += frame.count;
  last = frame.last;
  last_at = frame.written_at;
  bytes = end;
}

std::string segment_name(std::uint64_t first) { return fmt::format("{:020}.seg", first); }

std::optional<std::uint64_t> segment_first(std::string_view name) {
  if (name.size() != 24 || !name.ends_with(".seg")) return std::nullopt;
  std::uint64_t first = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + 20, first);
  if (error != std::errc() || end != name.data() + 20 || first == 0) return std::nullopt;
  return first;
}

SegmentReader::SegmentReader(std::unique_ptr<File> file, std::uint64_t offset)
    : file_(std::move(file)), offset_(offset) {}

Result<std::string_view> SegmentReader::bytes_at(std::uint64_t offset, std::size_t size, std::uint64_t limit) {
  std::size_t wanted = offset >= limit ? 0 : static_cast<std::size_t>(std::min<std::uint64_t>(size, limit - offset));
  bool inside = offset >= window_at_ && offset + wanted <= window_at_ + window_.size();
  if (!inside) {
    auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(std::max(wanted, kPiece), limit - offset));
    window_.resize(piece);
    window_at_ = offset;
    auto got = file_->read(offset, window_);
    window_.resize(got ? *got : 0);
    if (!got) return std::unexpected(got.error());
  }
  return std::string_view(window_).substr(static_cast<std::size_t>(offset - window_at_));
}

Result<bool> SegmentReader::whole_at(std::uint64_t offset, std::uint64_t limit, Found& found) {
  auto bytes = bytes_at(offset, kFrameHeaderBytes, limit);
  if (!bytes) return std::unexpected(bytes.error());
  auto header = decode_frame_header(*bytes);
  if (!header || header->body_bytes > limit - offset - kFrameHeaderBytes) return false;
  bytes = bytes_at(offset, kFrameHeaderBytes + header->body_bytes, limit);
  if (!bytes) return std::unexpected(bytes.error());
  if (bytes->size() < kFrameHeaderBytes + header->body_bytes) return false;
  found.body = bytes->substr(kFrameHeaderBytes, header->body_bytes);
  if (crc32c(found.body) != header->body_crc) return false;
  found.header = *header;
  found.offset = offset;
  found.end = offset + kFrameHeaderBytes + header->body_bytes;
  return true;
}

Result<std::uint64_t> SegmentReader::next_whole(std::uint64_t from, std::uint64_t limit) {
  while (from + kFrameHeaderBytes <= limit) {
    auto bytes = bytes_at(from, kFrameHeaderBytes, limit);
    if (!bytes) return std::unexpected(bytes.error());
    if (bytes->size() < kFrameHeaderBytes) break;
    std::size_t at = bytes->find(kFrameMark);
    if (at == std::string_view::npos) {
      from += bytes->size() - (kFrameMark.size() - 1);
      continue;
    }
    from += at;
    Found found;
    auto whole = whole_at(from, limit, found);
    if (!whole) return std::unexpected(whole.error());
    if (*whole) return from;
    ++from;
  }
  return limit;
}

Result<Found> SegmentReader::next(std::uint64_t limit) {
  Found found;
  found.offset = offset_;
  found.end = limit;
  if (offset_ >= limit) return found;
  auto whole = whole_at(offset_, limit, found);
  if (!whole) return std::unexpected(whole.error());
  if (*whole) {
    found.what = Found::What::frame;
    // Behind a summary stands only its trailer.
    offset_ = found.header.kind == FrameKind::summary ? limit : found.end;
    return found;
  }
  auto next = next_whole(offset_ + 1, limit);
  if (!next) return std::unexpected(next.error());
  found.what = *next < limit ? Found::What::damage : Found::What::end;
  found.offset = offset_;
  found.end = *next;
  if (found.what == Found::What::damage) offset_ = *next;
  return found;
}

Result<Opened> open_segment(File& file, std::uint64_t first) {
  Opened opened;
  opened.segment.first = first;
  auto size = file.size();
  if (!size) return std::unexpected(size.error());
  opened.size = *size;
  std::string bytes(kSegmentHeaderBytes, '\0');
  auto got = file.read(0, bytes);
  if (!got) return std::unexpected(got.error());
  opened.version = segment_version(std::string_view(bytes).substr(0, *got)).value_or(0);
  auto header = decode_segment_header(std::string_view(bytes).substr(0, *got));
  opened.header_good = header.has_value();
  if (header) opened.segment.header = *header;
  if (*size < kSegmentHeaderBytes + kFrameHeaderBytes + kTrailerBytes) return opened;
  bytes.resize(kTrailerBytes);
  got = file.read(*size - kTrailerBytes, bytes);
  if (!got) return std::unexpected(got.error());
  auto length = summary_bytes(std::string_view(bytes).substr(0, *got));
  if (!length || *length > *size - kSegmentHeaderBytes) return opened;
  bytes.resize(static_cast<std::size_t>(*length));
  got = file.read(*size - *length, bytes);
  if (!got) return std::unexpected(got.error());
  auto summary = decode_summary(std::string_view(bytes).substr(0, *got));
  if (!summary || summary->records == 0 || summary->last < first) return opened;
  opened.summarized = opened.header_good;
  opened.segment.finished = true;
  opened.segment.bytes = *size;
  opened.segment.records = summary->records;
  opened.segment.last = summary->last;
  opened.segment.first_at = summary->first_at;
  opened.segment.last_at = summary->last_at;
  opened.segment.points = std::move(summary->points);
  return opened;
}

}  // namespace penstock::spool
