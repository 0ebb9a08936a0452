// What the spool wants of a file system, as an object: the real one, or one that fails on purpose.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::spool {

// Used by one thread at a time. Errors of all members: resource_exhausted (disk full, quota), unavailable (others).
class File {
 public:
  virtual ~File() = default;
  // At `offset`, whole or with an error; after an error any part may have been written. Beyond the end it grows.
  virtual Result<void> write(std::uint64_t offset, std::string_view bytes) = 0;
  // As much as there is, at most all of `into`.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> into) = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size() = 0;
  // The bytes and the size are on the medium afterwards; the name only after Storage::sync_folder.
  virtual Result<void> sync() = 0;
};

// Released when destroyed, or when its process ends.
class FolderLock {
 public:
  virtual ~FolderLock() = default;
};

enum class Open : std::uint8_t {
  create,  // must not exist: already_exists
  write,   // exists, for reading and writing: else not_found
  read,    // exists: else not_found
};

// Any thread. Paths are as the system takes them. Symbolic links in the last part are refused, files are 0600.
class Storage {
 public:
  virtual ~Storage() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, Open how) = 0;
  // Fine when it exists. Its name is on the medium only after sync_folder of the one it is in. Errors: not_found (that
  // one is not there).
  virtual Result<void> make_folder(const std::string& path) = 0;
  // Names of the regular files, in no order.
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  // Names that were made, renamed or removed in it last.
  virtual Result<void> sync_folder(const std::string& folder) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& folder) = 0;
  // Against other processes and other spools of this one; waits at most so long. Errors: already_exists.
  virtual Result<std::unique_ptr<FolderLock>> lock(const std::string& folder, base::Duration wait) = 0;
};

// Makes it and what it is in, all on the medium when it returns.
Result<void> make_path(Storage& storage, const std::string& path);

// The machine's file systems.
Storage& local_storage();

}  // namespace penstock::spool
