#include "spool/frame.h"

#include <zstd.h>

#include "spool/bytes.h"
#include "spool/crc32c.h"

namespace penstock::spool {
namespace {

constexpr std::string_view kSegmentMark = "PNSTKLOG";
constexpr std::string_view kTrailerMark = "PSFE";
// The fastest level that still finds what samples repeat.
constexpr int kLevel = 1;
// Shorter bodies hardly ever shrink.
constexpr std::size_t kCompressFrom = 128;
constexpr std::size_t kPointBytes = 32;

// What is authenticated of a frame's header: all but the checksums and the length of the body.
std::string associated(const FrameHeader& header) {
  std::string out;
  put(out, header.plain_bytes);
  put(out, header.count);
  put(out, header.first);
  put(out, header.last);
  put(out, header.written_at);
  put(out, static_cast<std::uint8_t>(header.kind));
  put(out, header.flags);
  return out;
}

std::string encode(const FrameHeader& header) {
  std::string checked;
  put(checked, header.body_crc);
  put(checked, header.body_bytes);
  checked += associated(header);
  checked.append(kFrameHeaderBytes - 8 - checked.size(), '\0');
  std::string out(kFrameMark);
  put(out, crc32c(checked));
  return out + checked;
}

// One per thread: a context is 100 KB and more.
ZSTD_DCtx* decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  return context.get();
}

std::unexpected<Error> damaged(std::string_view what) { return fail(Errc::data_loss, std::string(what)); }

Result<std::string> opened(const FrameHeader& header, std::string_view body, Cipher* cipher) {
  std::string bytes(body);
  if ((header.flags & kEncrypted) != 0) {
    if (cipher == nullptr) return damaged("it is encrypted and the segment's beginning is lost");
    if (!cipher->unseal(bytes, header.first, associated(header)))
      return damaged("it is not what was encrypted there: it was changed or moved");
  }
  if ((header.flags & kCompressed) == 0) return bytes;
  std::string plain(header.plain_bytes, '\0');
  std::size_t got = ZSTD_decompressDCtx(decompressor(), plain.data(), plain.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(got) != 0 || got != plain.size()) return damaged("it does not decompress");
  return plain;
}

}  // namespace

std::string encode(const SegmentHeader& header) {
  std::string checked;
  put(checked, header.identity);
  put(checked, header.first_sequence);
  put(checked, header.made_at);
  put(checked, header.key_check);
  checked += header.salt;
  std::string out(kSegmentMark);
  put(out, kSegmentVersion);
  put(out, static_cast<std::uint8_t>(header.encrypted ? 1 : 0));
  put(out, header.lane);
  put(out, static_cast<std::uint8_t>(header.apart ? 1 : 0));
  std::uint32_t crc = crc32c(checked, crc32c(std::string_view(out).substr(kSegmentMark.size())));
  put(out, crc);
  return out + checked;
}

std::optional<std::uint8_t> segment_version(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes || !bytes.starts_with(kSegmentMark)) return std::nullopt;
  ByteReader reader(bytes.substr(kSegmentMark.size()));
  const auto version = reader.take<std::uint8_t>();
  (void)reader.take_bytes(3);
  const auto crc = reader.take<std::uint32_t>();
  if (crc != crc32c(bytes.substr(16, kSegmentHeaderBytes - 16), crc32c(bytes.substr(8, 4)))) return std::nullopt;
  return version;
}

std::optional<SegmentHeader> decode_segment_header(std::string_view bytes) {
  if (segment_version(bytes) != kSegmentVersion) return std::nullopt;
  ByteReader reader(bytes.substr(kSegmentMark.size(), kSegmentHeaderBytes - kSegmentMark.size()));
  SegmentHeader header;
  (void)reader.take<std::uint8_t>();
  header.encrypted = reader.take<std::uint8_t>() == 1;
  header.lane = reader.take<std::uint8_t>();
  header.apart = reader.take<std::uint8_t>() == 1;
  (void)reader.take<std::uint32_t>();
  header.identity = reader.take<std::uint64_t>();
  header.first_sequence = reader.take<std::uint64_t>();
  header.made_at = reader.take<std::int64_t>();
  header.key_check = reader.take<std::uint64_t>();
  header.salt = std::string(reader.take_bytes(kSaltBytes));
  return header;
}

std::optional<FrameHeader> decode_frame_header(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes || !bytes.starts_with(kFrameMark)) return std::nullopt;
  ByteReader reader(bytes.substr(kFrameMark.size(), kFrameHeaderBytes - kFrameMark.size()));
  if (reader.take<std::uint32_t>() != crc32c(bytes.substr(8, kFrameHeaderBytes - 8))) return std::nullopt;
  FrameHeader header;
  header.body_crc = reader.take<std::uint32_t>();
  header.body_bytes = reader.take<std::uint32_t>();
  header.plain_bytes = reader.take<std::uint32_t>();
  header.count = reader.take<std::uint32_t>();
  header.first = reader.take<std::uint64_t>();
  header.last = reader.take<std::uint64_t>();
  header.written_at = reader.take<std::int64_t>();
  auto kind = reader.take<std::uint8_t>();
  header.flags = reader.take<std::uint8_t>();
  if (kind != 1 && kind != 2) return std::nullopt;
  header.kind = static_cast<FrameKind>(kind);
  if (header.body_bytes > kBodyBytesMax || header.plain_bytes > kBodyBytesMax || header.last < header.first)
    return std::nullopt;
  return header;
}

struct FrameBuilder::Zstd {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(), &ZSTD_freeCCtx};
};

FrameBuilder::FrameBuilder(bool compress) : zstd_(compress ? std::make_unique<Zstd>() : nullptr) {}
FrameBuilder::~FrameBuilder() = default;

void FrameBuilder::add(const Entry& entry, std::int64_t log_time) {
  if (header_.count == 0) {
    header_.first = header_.last = entry.sequence;
    header_.written_at = time_before_ = log_time;
    put_varint(plain_, 0);
  } else {
    put_varint(plain_, entry.sequence - header_.last - 1);
  }
  // Unsigned, so that any two times may be apart.
  put_varint(plain_, zigzag(static_cast<std::int64_t>(static_cast<std::uint64_t>(entry.time) -
                                                      static_cast<std::uint64_t>(time_before_))));
  put(plain_, entry.priority);
  put_varint(plain_, entry.bytes.size());
  plain_ += entry.bytes;
  header_.last = entry.sequence;
  time_before_ = entry.time;
  ++header_.count;
}

void FrameBuilder::finish(std::string& out, Cipher* cipher) {
  std::string body;
  header_.plain_bytes = static_cast<std::uint32_t>(plain_.size());
  if (zstd_ && plain_.size() >= kCompressFrom) {
    body.resize(ZSTD_compressBound(plain_.size()));
    std::size_t size =
        ZSTD_compressCCtx(zstd_->context.get(), body.data(), body.size(), plain_.data(), plain_.size(), kLevel);
    bool smaller = ZSTD_isError(size) == 0 && size < plain_.size();
    body.resize(smaller ? size : 0);
    if (smaller) header_.flags |= kCompressed;
  }
  if ((header_.flags & kCompressed) == 0) body.swap(plain_);
  if (cipher != nullptr) {
    header_.flags |= kEncrypted;
    cipher->seal(body, 0, header_.first, associated(header_));
  }
  header_.body_bytes = static_cast<std::uint32_t>(body.size());
  header_.body_crc = crc32c(body);
  out += encode(header_);
  out += body;
  header_ = FrameHeader();
  plain_.clear();
}

Result<void> decode_entries(const FrameHeader& header, std::string_view body, Cipher* cipher, std::vector<Entry>& out) {
  auto plain = opened(header, body, cipher);
  if (!plain) return std::unexpected(plain.error());
  // An entry has four bytes at least.
  if (header.kind != FrameKind::entries || header.count == 0 || plain->size() / 4 < header.count)
    return damaged("its entries are not as many as it says");
  ByteReader reader(*plain);
  std::size_t before = out.size();
  out.reserve(before + header.count);
  std::uint64_t sequence = header.first;
  std::int64_t time = header.written_at;
  for (std::uint32_t i = 0; i < header.count; ++i) {
    std::uint64_t skipped = reader.take_varint();
    if (i > 0 && skipped >= header.last - sequence) break;
    if (i > 0) sequence += skipped + 1;
    time = static_cast<std::int64_t>(static_cast<std::uint64_t>(time) +
                                     static_cast<std::uint64_t>(unzigzag(reader.take_varint())));
    auto priority = reader.take<std::uint8_t>();
    std::string_view bytes = reader.take_bytes(reader.take_varint());
    if (!reader.good()) break;
    out.push_back({sequence, time, priority, std::string(bytes)});
  }
  if (reader.at_end() && out.size() - before == header.count && out.back().sequence == header.last) return {};
  out.resize(before);
  return damaged("its entries do not fit together");
}

std::string encode(const Summary& summary) {
  std::string body;
  put(body, summary.records);
  put(body, summary.last);
  put(body, summary.first_at);
  put(body, summary.last_at);
  put(body, static_cast<std::uint32_t>(summary.points.size()));
  for (const IndexPoint& point : summary.points) {
    put(body, point.sequence);
    put(body, point.offset);
    put(body, point.records_before);
    put(body, point.written_at);
  }
  FrameHeader header;
  header.kind = FrameKind::summary;
  header.body_crc = crc32c(body);
  header.body_bytes = header.plain_bytes = static_cast<std::uint32_t>(body.size());
  header.first = header.last = summary.last;
  header.written_at = summary.last_at;
  std::string out = encode(header) + body;
  put(out, static_cast<std::uint32_t>(out.size()));
  out += kTrailerMark;
  return out;
}

std::optional<Summary> decode_summary(std::string_view bytes) {
  auto header = decode_frame_header(bytes);
  if (!header || header->kind != FrameKind::summary) return std::nullopt;
  std::string_view body = bytes.substr(kFrameHeaderBytes);
  if (body.size() != header->body_bytes + kTrailerBytes) return std::nullopt;
  body.remove_suffix(kTrailerBytes);
  if (crc32c(body) != header->body_crc) return std::nullopt;
  ByteReader reader(body);
  Summary summary;
  summary.records = reader.take<std::uint64_t>();
  summary.last = reader.take<std::uint64_t>();
  summary.first_at = reader.take<std::int64_t>();
  summary.last_at = reader.take<std::int64_t>();
  auto count = reader.take<std::uint32_t>();
  if (count > body.size() / kPointBytes) return std::nullopt;
  for (std::uint32_t i = 0; i < count; ++i) {
    IndexPoint point;
    point.sequence = reader.take<std::uint64_t>();
    point.offset = reader.take<std::uint64_t>();
    point.records_before = reader.take<std::uint64_t>();
    point.written_at = reader.take<std::int64_t>();
    summary.points.push_back(point);
  }
  if (!reader.at_end()) return std::nullopt;
  return summary;
}

std::optional<std::uint64_t> summary_bytes(std::string_view trailer) {
  if (trailer.size() != kTrailerBytes || !trailer.ends_with(kTrailerMark)) return std::nullopt;
  ByteReader reader(trailer);
  auto length = reader.take<std::uint32_t>();
  if (length < kFrameHeaderBytes || length > kBodyBytesMax) return std::nullopt;
  return length + kTrailerBytes;
}

}  // namespace penstock::spool
