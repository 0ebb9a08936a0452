// The file that a sink appends to, and the older ones beside it: dir/samples.ndjson, and
// dir/samples-20260131T120000.000Z.ndjson (.zst when compressed).
//
// Every write is whole lines or is taken back. A line cut by a crash is cut off when the file is opened again. Blocks;
// one thread.
#pragma once

#include <filesystem>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::ext {

struct SampleFileOptions {
  std::filesystem::path path;
  std::uint64_t size_max = 64'000'000;  // of the file that is written; then it is put aside
  base::Duration every{};               // puts it aside when it is older; 0: never
  std::size_t keep = 10;                // files put aside that stay; the oldest go first
  bool compress = false;                // zstd, once put aside
  bool sync = true;                     // on disk before append() returns
};

class SampleFile {
 public:
  SampleFile(SampleFileOptions options, const base::Clock& clock);
  ~SampleFile();
  SampleFile(const SampleFile&) = delete;
  SampleFile& operator=(const SampleFile&) = delete;

  // Opens the file when it is not open or is no longer the one at the path. Errors: unavailable (disk full, no such
  // folder, no permission, another process writes it), after which nothing of `lines` is in the file.
  Result<void> append(std::string_view lines);
  void close();

 private:
  Result<void> open();
  Result<void> cut_torn_line();
  Result<void> write_all(std::string_view lines);
  Result<void> put_aside();
  bool is_due() const;
  bool is_still_there() const;
  void finish_older();
  Result<void> compress(const std::filesystem::path& file) const;
  void remove_oldest() const;
  bool is_older(const std::filesystem::path& file) const;
  std::unexpected<Error> failure(std::string_view what) const;

  const SampleFileOptions options_;
  const base::Clock& clock_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  base::WallMicros begun_ = 0;
};

}  // namespace penstock::ext
