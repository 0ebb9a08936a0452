// The small file beside the segments: two places, written in turn, so that one of them is always whole.
//
//   place, at 0 and at 16,384: "PNSTKCUR" | CRC-32C of the rest (4) | bytes of the rest (4) |
//     generation (8) | identity (8) | reserved (8) | log time (8) | wall clock (8) | cursors (4) |
//     for each: length of the name (1) | name | sequence (8)
#pragma once

#include <map>
#include <memory>
#include <string>

#include "spool/storage.h"

namespace penstock::spool {

struct SpoolState {
  std::uint64_t identity = 0;  // 0: none was found
  std::uint64_t reserved = 0;  // sequences below may have been given out
  std::int64_t log_time = 0;
  base::WallMicros wall = 0;  // when log_time was that
  std::map<std::string, std::uint64_t> cursors;
};

// Used by one thread.
class StateFile {
 public:
  // Makes it when absent. If neither place is whole, what was found is as in a new one.
  static Result<StateFile> open(Storage& storage, const std::string& folder);

  const SpoolState& found() const { return found_; }
  // A place holds something that is not whole: the newest state, or one that was being written, may be lost.
  bool damaged() const { return damaged_; }
  // On the medium when it returns.
  Result<void> save(const SpoolState& state);

 private:
  explicit StateFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  std::unique_ptr<File> file_;
  SpoolState found_;
  std::uint64_t generation_ = 0;
  bool damaged_ = false;
};

}  // namespace penstock::spool
