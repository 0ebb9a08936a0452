#include "base/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/secret.h"

namespace penstock::base {

Result<void> write_whole(const std::string& path, std::string_view bytes, unsigned int mode, bool replace) {
  std::string draft = fmt::format("{}.{}.new", path, random_token(6));
  int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  bool good = fd >= 0;
  while (good && !bytes.empty()) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    good = written > 0;
    if (good) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  good = good && ::fsync(fd) == 0;
  int why = errno;
  if (fd >= 0) ::close(fd);
  if (good && ::renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, path.c_str(), replace ? 0U : RENAME_NOREPLACE) == 0)
    return {};
  if (good) why = errno;
  if (fd >= 0) ::unlink(draft.c_str());
  if (why == EEXIST) return fail(Errc::already_exists, fmt::format("'{}' is there already", path));
  return fail(why == ENOSPC ? Errc::resource_exhausted : Errc::permission_denied,
              fmt::format("cannot write '{}': {}", path, std::strerror(why)));
}

}  // namespace penstock::base
