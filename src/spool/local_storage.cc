#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "spool/storage.h"

namespace penstock::spool {
namespace {

std::unexpected<Error> failed(std::string_view what, const std::string& path, int error) {
  Errc code = Errc::unavailable;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) code = Errc::resource_exhausted;
  // What this process lacks says nothing of the medium.
  if (error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN) code = Errc::backpressure;
  if (error == ENOENT) code = Errc::not_found;
  if (error == EEXIST) code = Errc::already_exists;
  if (error == EACCES || error == EPERM || error == EROFS || error == ELOOP) code = Errc::permission_denied;
  std::string why = error == ELOOP ? "it is a symbolic link" : std::strerror(error);
  return fail(code, fmt::format("cannot {} '{}': {}", what, path, why));
}

class LocalFile : public File {
 public:
  LocalFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~LocalFile() override { ::close(fd_); }
  LocalFile(const LocalFile&) = delete;
  LocalFile& operator=(const LocalFile&) = delete;

  Result<void> write(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return failed("write to", path_, done == 0 ? ENOSPC : errno);
      bytes.remove_prefix(static_cast<std::size_t>(done));
      offset += static_cast<std::uint64_t>(done);
    }
    return {};
  }

  Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
    std::size_t got = 0;
    while (got < into.size()) {
      ssize_t done = ::pread(fd_, into.data() + got, into.size() - got, static_cast<off_t>(offset + got));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return failed("read", path_, errno);
      if (done == 0) break;
      got += static_cast<std::size_t>(done);
    }
    return got;
  }

  Result<void> truncate(std::uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) == 0) return {};
    return failed("cut", path_, errno);
  }

  Result<std::uint64_t> size() override {
    struct stat about{};
    if (::fstat(fd_, &about) != 0) return failed("look at", path_, errno);
    return static_cast<std::uint64_t>(about.st_size);
  }

  Result<void> sync() override {
    if (::fdatasync(fd_) == 0) return {};
    return failed("sync", path_, errno);
  }

 private:
  int fd_;
  std::string path_;
};

class LocalLock : public FolderLock {
 public:
  explicit LocalLock(int fd) : fd_(fd) {}
  ~LocalLock() override { ::close(fd_); }
  LocalLock(const LocalLock&) = delete;
  LocalLock& operator=(const LocalLock&) = delete;

 private:
  int fd_;
};

class LocalStorage : public Storage {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, Open how) override {
    int flags = how == Open::read ? O_RDONLY : O_RDWR;
    if (how == Open::create) flags |= O_CREAT | O_EXCL;
    // Non-blocking: a named pipe in a file's place must not hang the open.
    int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return failed("open", path, errno);
    struct stat about{};
    if (::fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) return std::make_unique<LocalFile>(fd, path);
    ::close(fd);
    return fail(Errc::permission_denied, fmt::format("cannot open '{}': it is no regular file", path));
  }

  Result<void> make_folder(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) {
      struct stat about{};
      if (::stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode)) return {};
      return fail(Errc::permission_denied, fmt::format("'{}' is no folder", path));
    }
    return failed("make folder", path, errno);
  }

  Result<std::vector<std::string>> list(const std::string& folder) override {
    std::error_code code;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
      std::error_code ignored;
      if (it->symlink_status(ignored).type() == std::filesystem::file_type::regular)
        names.push_back(it->path().filename().string());
    }
    if (code) return failed("list", folder, code.value());
    return names;
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return failed("rename", from, errno);
  }

  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) == 0) return {};
    return failed("remove", path, errno);
  }

  Result<void> sync_folder(const std::string& folder) override {
    int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("open", folder, errno);
    int error = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    // Some file systems (FUSE, CIFS) know no sync of folders.
    if (error != 0 && error != EINVAL && error != ENOSYS) return failed("sync", folder, error);
    return {};
  }

  Result<std::uint64_t> free_bytes(const std::string& folder) override {
    struct statvfs about{};
    if (::statvfs(folder.c_str(), &about) != 0) return failed("look at", folder, errno);
    return static_cast<std::uint64_t>(about.f_bavail) * about.f_frsize;
  }

  Result<std::unique_ptr<FolderLock>> lock(const std::string& folder, base::Duration wait) override {
    std::string path = folder + "/lock";
    int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return failed("open", path, errno);
    auto until = std::chrono::steady_clock::now() + wait;
    // flock belongs to the open file, so that it holds between two spools of one process too.
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      int error = errno;
      if (error == EINTR) continue;
      if (error == EWOULDBLOCK && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        continue;
      }
      ::close(fd);
      if (error != EWOULDBLOCK) return failed("lock", path, error);
      return fail(Errc::already_exists,
                  fmt::format("another gateway or another sink works on the buffer '{}': stop it first, or give this "
                              "one a folder of its own",
                              folder));
    }
    return std::make_unique<LocalLock>(fd);
  }
};

}  // namespace

Storage& local_storage() {
  static LocalStorage storage;
  return storage;
}

}  // namespace penstock::spool
