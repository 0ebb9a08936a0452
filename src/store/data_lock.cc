#include "store/data_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "store/state.h"

namespace penstock::store {
namespace {

struct flock whole_file(short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Result<DataLock> DataLock::open(const std::string& dir) {
  if (auto made = make_data_dir(dir); !made) return std::unexpected(made.error());
  int fd = ::open((dir + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(Errc::permission_denied, fmt::format("cannot open '{}/lock': {}", dir, std::strerror(errno)));
  return DataLock(fd, dir);
}

DataLock::~DataLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> DataLock::take() {
  struct flock wanted = whole_file(F_WRLCK);
  if (::fcntl(fd_, F_SETLK, &wanted) == 0) return {};
  int error = errno;
  if (error != EACCES && error != EAGAIN)
    return fail(Errc::internal, fmt::format("'{}/lock' cannot be locked: {}", dir_, std::strerror(error)));
  struct flock holder = whole_file(F_WRLCK);
  std::string who;
  if (::fcntl(fd_, F_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 0)
    who = fmt::format(" (process {})", holder.l_pid);
  return fail(
      Errc::already_exists,
      fmt::format("another gateway{} works on the data folder '{}': stop it first, or give this one a folder of "
                  "its own (`data_dir`, --data-dir)",
                  who, dir_));
}

void DataLock::release() {
  struct flock none = whole_file(F_UNLCK);
  (void)::fcntl(fd_, F_SETLK, &none);
}

}  // namespace penstock::store
