#include "artifact/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "artifact/claims.h"

namespace penstock::artifact {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::unexpected<Error> no_file(const std::string& what, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return fail(Errc::not_found, what + ": there is no such file");
    case ELOOP: return fail(Errc::failed_precondition, what + ": it is a symbolic link, which is not followed here");
    default: return fail(Errc::permission_denied, fmt::format("{}: {}", what, std::strerror(error)));
  }
}

Result<std::uint64_t> regular_size(int fd, const std::string& what) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return no_file(what, errno);
  if (!S_ISREG(info.st_mode)) return fail(Errc::failed_precondition, what + ": it is no regular file");
  return static_cast<std::uint64_t>(info.st_size);
}

std::unexpected<Error> too_large(const std::string& what, std::uint64_t bytes_max) {
  return fail(Errc::out_of_range, fmt::format("{}: it is larger than {} bytes", what, bytes_max));
}

// A file that grows while it is read ends where the bound does.
Result<void> stream_descriptor(int fd, const std::string& what, std::uint64_t bytes_max, const Files::Sink& sink) {
  auto size = regular_size(fd, what);
  if (!size) return std::unexpected(std::move(size.error()));
  if (*size > bytes_max) return too_large(what, bytes_max);
  constexpr std::size_t kPieceBytes = 256 * 1024;
  std::string piece(std::min<std::uint64_t>(kPieceBytes, *size + 1), '\0');
  std::uint64_t passed = 0;
  while (true) {
    ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return no_file(what, errno);
    if (got == 0) return {};
    passed += static_cast<std::uint64_t>(got);
    if (passed > bytes_max) return too_large(what, bytes_max);
    sink({piece.data(), static_cast<std::size_t>(got)});
  }
}

class Walk {
 public:
  explicit Walk(std::string folder) : folder_(std::move(folder)) {}
  Result<void> enter(int parent, const std::string& name, const std::string& prefix, std::size_t depth);
  std::vector<std::string> files;

 private:
  Result<void> take(int fd, const std::string& name, const std::string& path, std::size_t depth);
  std::string folder_;
  std::size_t entries_ = 0;
};

Result<void> Walk::take(int fd, const std::string& name, const std::string& path, std::size_t depth) {
  std::string what = folder_ + "/" + path;
  if (++entries_ > DiskFiles::kEntriesMax)
    return fail(Errc::failed_precondition, fmt::format("{}: more than {} files", folder_, DiskFiles::kEntriesMax));
  if (!is_plain_path(path)) return fail(Errc::failed_precondition, folder_ + ": a file's name has control characters");
  struct stat info{};
  if (::fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return no_file(what, errno);
  if (S_ISDIR(info.st_mode)) return enter(fd, name, path + "/", depth + 1);
  if (S_ISLNK(info.st_mode)) return no_file(what, ELOOP);
  if (!S_ISREG(info.st_mode)) return fail(Errc::failed_precondition, what + ": it is neither file nor folder");
  files.push_back(path);
  return {};
}

Result<void> Walk::enter(int parent, const std::string& name, const std::string& prefix, std::size_t depth) {
  if (depth > DiskFiles::kDepthMax)
    return fail(Errc::failed_precondition, fmt::format("{}: folders in folders, {} deep", folder_, depth));
  int fd = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return no_file(folder_ + "/" + prefix, errno);
  std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fd), &::closedir);
  if (!listing) {
    ::close(fd);
    return no_file(folder_ + "/" + prefix, errno);
  }
  while (const dirent* entry = ::readdir(listing.get())) {
    std::string inner = entry->d_name;
    if (inner == "." || inner == "..") continue;
    if (auto taken = take(fd, inner, prefix + inner, depth); !taken) return taken;
  }
  return {};
}

}  // namespace

Result<std::string> Files::read(const std::string& path, std::uint64_t bytes_max) const {
  std::string bytes;
  auto done = stream(path, bytes_max, [&](std::string_view piece) { bytes += piece; });
  if (!done) return std::unexpected(std::move(done.error()));
  return bytes;
}

Result<DiskFiles> DiskFiles::open(const std::string& folder) {
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return no_file(folder, errno);
  return DiskFiles(folder, fd);
}

DiskFiles::DiskFiles(DiskFiles&& other) noexcept
    : folder_(std::move(other.folder_)), fd_(std::exchange(other.fd_, -1)) {}

DiskFiles::~DiskFiles() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::vector<std::string>> DiskFiles::list() const {
  Walk walk(folder_);
  if (auto walked = walk.enter(fd_, ".", "", 0); !walked) return std::unexpected(std::move(walked.error()));
  std::sort(walk.files.begin(), walk.files.end());
  return std::move(walk.files);
}

// Name by name: O_NOFOLLOW is about the last one alone.
Result<int> DiskFiles::open_file(const std::string& path) const {
  std::string what = folder_ + "/" + path;
  if (!is_plain_path(path))
    return fail(Errc::failed_precondition, fmt::format("'{}' leaves the folder {}", path, folder_));
  Descriptor at(::dup(fd_));
  std::size_t begin = 0;
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', begin)) {
    std::string name = path.substr(begin, slash - begin);
    int inner = ::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    // A link in the place of a folder is reported as no folder.
    if (inner < 0) {
      struct stat info{};
      int error = errno;
      bool link = ::fstatat(at.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
      return no_file(what, link ? ELOOP : error);
    }
    at = Descriptor(inner);
    begin = slash + 1;
  }
  // Opening a pipe must not wait for a writer.
  int fd = ::openat(at.get(), path.c_str() + begin, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return no_file(what, errno);
  return fd;
}

bool DiskFiles::has(const std::string& path) const {
  auto fd = open_file(path);
  if (fd) ::close(*fd);
  return fd.has_value() || fd.error().code != Errc::not_found;
}

Result<void> DiskFiles::stream(const std::string& path, std::uint64_t bytes_max, const Sink& sink) const {
  auto fd = open_file(path);
  if (!fd) return std::unexpected(std::move(fd.error()));
  Descriptor open(*fd);
  return stream_descriptor(open.get(), folder_ + "/" + path, bytes_max, sink);
}

Result<std::uint64_t> DiskFiles::size(const std::string& path) const {
  auto fd = open_file(path);
  if (!fd) return std::unexpected(std::move(fd.error()));
  Descriptor open(*fd);
  return regular_size(open.get(), folder_ + "/" + path);
}

Result<std::vector<std::string>> MemoryFiles::list() const {
  std::vector<std::string> names;
  for (const auto& [path, bytes] : files_) {
    if (!is_plain_path(path))
      return fail(Errc::failed_precondition, fmt::format("{}: '{}' is no plain path", name_, path));
    names.push_back(path);
  }
  return names;
}

Result<void> MemoryFiles::stream(const std::string& path, std::uint64_t bytes_max, const Sink& sink) const {
  auto found = files_.find(path);
  if (found == files_.end()) return no_file(name_ + "/" + path, ENOENT);
  if (found->second->size() > bytes_max) return too_large(name_ + "/" + path, bytes_max);
  sink(*found->second);
  return {};
}

Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() < 0) return no_file(path, errno);
  std::string bytes;
  auto done = stream_descriptor(fd.get(), path, bytes_max, [&](std::string_view piece) { bytes += piece; });
  if (!done) return std::unexpected(std::move(done.error()));
  return bytes;
}

}  // namespace penstock::artifact
