// One gateway per data folder: two would each give out the whole of every budget, and overwrite what the other counted.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace penstock::store {

// A lock on <dir>/lock as long as this object and its process live (fcntl, POSIX): one that is killed leaves none. The
// command line does not ask for it. Used by one thread.
class DataLock {
 public:
  // Makes folder and file when needed; takes nothing yet.
  static Result<DataLock> open(const std::string& dir);
  ~DataLock();
  DataLock(DataLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)), dir_(std::move(other.dir_)) {}
  DataLock& operator=(DataLock&&) = delete;

  // At once or not at all. Errors: already_exists, naming the process that has it; internal when the file system knows
  // no locks.
  Result<void> take();
  void release();

 private:
  DataLock(int fd, std::string dir) : fd_(fd), dir_(std::move(dir)) {}
  int fd_ = -1;
  std::string dir_;
};

}  // namespace penstock::store
