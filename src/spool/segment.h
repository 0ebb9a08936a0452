// One file of a lane: what is known of it, and reading it frame by frame behind whatever is damaged.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "spool/frame.h"

namespace penstock::spool {

struct Segment {
  std::uint64_t first = 0;    // by its name
  std::uint64_t last = 0;     // 0: no entry yet
  std::uint64_t bytes = 0;    // readable: committed
  std::uint64_t records = 0;  // in them
  std::int64_t first_at = 0;  // log time of the first and the last frame
  std::int64_t last_at = 0;
  bool finished = false;         // has its summary
  std::uint64_t damaged_to = 0;  // up to where damaged places were reported; 0: none
  std::vector<IndexPoint> points;
  SegmentHeader header;

  bool damaged() const { return damaged_to != 0; }
  // The point to begin at for what comes after `after`; null: the first frame.
  const IndexPoint* point_for(std::uint64_t after) const;
  // Records above `after`; exact where sequences have no gaps.
  std::uint64_t records_after(std::uint64_t after) const;
  // Log time of about the first record above `after`.
  std::int64_t time_after(std::uint64_t after) const;
  // Counts a frame at `offset`, which ends at `end`; a point for every `step` bytes.
  void note(const FrameHeader& frame, std::uint64_t offset, std::uint64_t end, std::uint64_t step);
};

// "00000000000000000042.seg" and back.
std::string segment_name(std::uint64_t first);
std::optional<std::uint64_t> segment_first(std::string_view name);

// What stands next in a file.
struct Found {
  enum class What : std::uint8_t {
    frame,   // whole: header, offset and body are set
    damage,  // bytes from offset to end are no frame; a frame or a summary follows
    end,     // nothing whole follows; bytes from offset to end are the tail
  };
  What what = What::end;
  std::uint64_t offset = 0;
  std::uint64_t end = 0;
  FrameHeader header;
  std::string_view body;  // until the next call
};

// Reads in pieces of 256 KiB. Used by one thread.
class SegmentReader {
 public:
  // From `offset` on, which is a frame's beginning unless the file is damaged.
  SegmentReader(std::unique_ptr<File> file, std::uint64_t offset);

  // Looks at bytes below `limit` only. Errors: those of the file; the same place is tried again next time.
  Result<Found> next(std::uint64_t limit);
  std::uint64_t offset() const { return offset_; }

 private:
  // At least `size` bytes from `offset` on, or as many as there are below `limit`.
  Result<std::string_view> bytes_at(std::uint64_t offset, std::size_t size, std::uint64_t limit);
  Result<bool> whole_at(std::uint64_t offset, std::uint64_t limit, Found& found);
  Result<std::uint64_t> next_whole(std::uint64_t from, std::uint64_t limit);

  std::unique_ptr<File> file_;
  std::uint64_t offset_;
  std::uint64_t window_at_ = 0;
  std::string window_;
};

// Reads header and, when it has one, summary. `summarized` tells which; else the segment has to be scanned.
struct Opened {
  Segment segment;
  bool header_good = false;
  std::uint8_t version = 0;  // of a whole header; 0: it is not whole
  bool summarized = false;
  std::uint64_t size = 0;
};
Result<Opened> open_segment(File& file, std::uint64_t first);

}  // namespace penstock::spool
