// The bytes of a segment, without input or output. All numbers are little endian.
//
//   segment header, 80 bytes
//     "PNSTKLOG" | version 1 (1) | encrypted 0/1 (1) | lane (1) | apart 0/1 (1) | CRC-32C of the rest of the header (4)
//     | identity (8) | first sequence (8) | log time made (8) | key check (8) | salt (32)
//   frame: header of 56 bytes, and its body
//     "PSF1" | CRC-32C of the rest of the header (4) | CRC-32C of the body (4) | body bytes (4) | plain bytes (4) |
//     entries (4) | first sequence (8) | last sequence (8) | log time written (8) | kind (1) | flags (1) | 0 (2) | 0
//     (4)
//   body of kind 1, entries, after decryption (flag 2) and decompression (flag 1); for each:
//     sequence - (the one before + 1), for the first: 0 | time - the time before, zigzag; for the first: - log time |
//     priority (1) | bytes | the bytes             numbers without a size are variable, 7 bits a byte
//   body of kind 2, the summary, which a finished segment ends with; never compressed or encrypted
//     records (8) | last sequence (8) | log time of the first (8), last frame (8) | points (4) |
//     points: sequence, offset, records before, log time (8 each)
//   trailer after the summary: its length with header (4) | "PSFE"
//
// A frame is found by its mark and believed for its checksums, so that reading goes on behind damaged bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "spool/cipher.h"
#include "spool/spool.h"

namespace penstock::spool {

inline constexpr std::size_t kSegmentHeaderBytes = 80;
inline constexpr std::size_t kFrameHeaderBytes = 56;
inline constexpr std::size_t kTrailerBytes = 8;
inline constexpr std::string_view kFrameMark = "PSF1";
// A frame takes entries until it has so many bytes, so that one damaged place costs no more.
inline constexpr std::size_t kFrameBytes = 256 << 10U;
// What a body may claim: one entry of the longest kind on top of a full frame.
inline constexpr std::size_t kBodyBytesMax = kEntryBytesMax + 2 * kFrameBytes;

struct SegmentHeader {
  std::uint64_t identity = 0;
  std::uint64_t first_sequence = 0;
  std::int64_t made_at = 0;
  std::uint64_t key_check = 0;  // 0: not encrypted
  std::uint8_t lane = 0;
  bool encrypted = false;
  bool apart = false;  // entries of the lane's priority alone; false: of any
  std::string salt = std::string(kSaltBytes, '\0');
};
std::string encode(const SegmentHeader& header);
std::optional<SegmentHeader> decode_segment_header(std::string_view bytes);

enum class FrameKind : std::uint8_t { entries = 1, summary = 2 };
inline constexpr std::uint8_t kCompressed = 1;
inline constexpr std::uint8_t kEncrypted = 2;

// The form of segments that this program writes, and the highest it reads. A later one keeps the header's length, the
// places of version and checksum, and what is checked.
inline constexpr std::uint8_t kSegmentVersion = 1;
// The version of a whole header, be it a later one; nothing: these bytes are none.
std::optional<std::uint8_t> segment_version(std::string_view bytes);

struct FrameHeader {
  std::uint32_t body_crc = 0;
  std::uint32_t body_bytes = 0;
  std::uint32_t plain_bytes = 0;
  std::uint32_t count = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::int64_t written_at = 0;
  FrameKind kind = FrameKind::entries;
  std::uint8_t flags = 0;
};
// Nothing: these bytes are no frame's beginning.
std::optional<FrameHeader> decode_frame_header(std::string_view bytes);

// Gathers entries of rising sequences into frames. Used by one thread.
class FrameBuilder {
 public:
  explicit FrameBuilder(bool compress);
  ~FrameBuilder();
  FrameBuilder(const FrameBuilder&) = delete;
  FrameBuilder& operator=(const FrameBuilder&) = delete;

  void add(const Entry& entry, std::int64_t log_time);
  bool empty() const { return header_.count == 0; }
  bool full() const { return plain_.size() >= kFrameBytes; }
  std::size_t plain_bytes() const { return plain_.size(); }
  // About the frame to come; not about its body.
  const FrameHeader& header() const { return header_; }
  // Appends the frame to `out` and begins the next one. `cipher` null: not encrypted.
  void finish(std::string& out, Cipher* cipher);

 private:
  struct Zstd;
  std::unique_ptr<Zstd> zstd_;
  FrameHeader header_;
  std::int64_t time_before_ = 0;
  std::string plain_;
};

// Appends the entries of a whole frame's body to `out`. Errors: data_loss; `out` is as it was then.
Result<void> decode_entries(const FrameHeader& header, std::string_view body, Cipher* cipher, std::vector<Entry>& out);

// Where reading may begin within a segment.
struct IndexPoint {
  std::uint64_t sequence = 0;        // first of the frame
  std::uint64_t offset = 0;          // of the frame
  std::uint64_t records_before = 0;  // in the segment
  std::int64_t written_at = 0;
};

struct Summary {
  std::uint64_t records = 0;
  std::uint64_t last = 0;
  std::int64_t first_at = 0;
  std::int64_t last_at = 0;
  std::vector<IndexPoint> points;
};
// A frame with its trailer.
std::string encode(const Summary& summary);
// `bytes`: from the frame on, trailer included.
std::optional<Summary> decode_summary(std::string_view bytes);
// How many bytes from the end of the file the summary begins, by the last kTrailerBytes; nothing: there is none.
std::optional<std::uint64_t> summary_bytes(std::string_view trailer);

}  // namespace penstock::spool
