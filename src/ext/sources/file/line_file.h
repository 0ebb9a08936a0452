// A file read in pieces of whole lines, while another program may still write it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"

namespace penstock::ext {

// Which file, and how far it was read. Inode numbers are used again, so the file's beginning is known too.
struct FileMark {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;
  std::uint64_t head_bytes = 0;  // how much of the beginning...
  std::uint64_t head_hash = 0;   // ...this is of
  bool operator==(const FileMark&) const = default;
};

// One thread.
class LineFile {
 public:
  static constexpr std::size_t kLinesMax = 1'000;
  static constexpr std::size_t kLineBytesMax = 1U << 20;

  // Opens it at its beginning. Errors: not_found, unavailable (no ordinary file, no permission).
  static Result<std::unique_ptr<LineFile>> open(const std::filesystem::path& path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  // True when `mark` is of this very file; reading goes on there then.
  bool resume(const FileMark& mark);
  FileMark mark();
  bool is(std::uint64_t device, std::uint64_t inode) const { return device_ == device && inode_ == inode; }
  // The first line, without its line break; nothing until it is whole.
  std::optional<std::string> first_line();

  // The next whole lines, at most kLinesMax; empty when there are none yet. `last`: nobody writes any more, so what
  // stands behind the last line break is a line too. Line breaks within quotes are none when `quotes`. data_loss once
  // for a line longer than kLineBytesMax, which is stepped over. A file that became shorter is read from its beginning.
  Result<std::string> read(bool quotes, bool last);

 private:
  LineFile(int fd, std::uint64_t device, std::uint64_t inode) : fd_(fd), device_(device), inode_(inode) {}
  std::string bytes_at(std::uint64_t offset, std::size_t count) const;

  const int fd_;
  const std::uint64_t device_;
  const std::uint64_t inode_;
  std::uint64_t offset_ = 0;
  std::uint64_t head_bytes_ = 0;
  std::uint64_t head_hash_ = 0;
  bool skipping_ = false;  // within a line that is too long
};

}  // namespace penstock::ext
