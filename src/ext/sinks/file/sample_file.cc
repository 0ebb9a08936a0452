#include "ext/sinks/file/sample_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "obs/log.h"

namespace penstock::ext {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kMode = 0640;
constexpr std::size_t kPieceBytes = 256 * 1024;
// A line is a sample; one longer than this was not written by us.
constexpr off_t kLineBytesMax = 16 << 20;
constexpr std::string_view kUnfinished = ".part";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string stamp(base::WallMicros now) {
  std::string text = base::to_rfc3339(now);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

bool write_whole(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

// The names in a folder are safe only once the folder is.
void sync_folder(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) ::fsync(fd.get());
}

// False with errno set.
bool compress_to(int from, int to) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> zstd(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  if (!zstd) return errno = ENOMEM, false;
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_checksumFlag, 1);
  std::vector<char> in(kPieceBytes);
  std::vector<char> out(ZSTD_CStreamOutSize());
  while (true) {
    const ssize_t read = ::read(from, in.data(), in.size());
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return false;
    ZSTD_inBuffer input{in.data(), static_cast<std::size_t>(read), 0};
    std::size_t left = 0;
    do {
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      left = ZSTD_compressStream2(zstd.get(), &output, &input, read == 0 ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0) return errno = EIO, false;
      if (!write_whole(to, {out.data(), output.pos})) return false;
    } while (read == 0 ? left != 0 : input.pos < input.size);
    if (read == 0) return ::fsync(to) == 0;
  }
}

}  // namespace

SampleFile::SampleFile(SampleFileOptions options, const base::Clock& clock)
    : options_(std::move(options)), clock_(clock) {}

SampleFile::~SampleFile() { close(); }

std::unexpected<Error> SampleFile::failure(std::string_view what) const {
  return fail(Errc::unavailable, fmt::format("{} {}: {}", what, options_.path.string(), std::strerror(errno)));
}

void SampleFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<void> SampleFile::append(std::string_view lines) {
  if (fd_ >= 0 && !is_still_there()) close();
  if (fd_ >= 0 && is_due()) {
    if (auto done = put_aside(); !done) return done;
  }
  if (fd_ < 0) {
    if (auto opened = open(); !opened) return opened;
  }
  return write_all(lines);
}

Result<void> SampleFile::open() {
  // A link put there by somebody else must not send samples elsewhere.
  fd_ = ::open(options_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kMode);
  if (fd_ < 0) return failure("cannot open");
  struct stat about{};
  if (::fstat(fd_, &about) != 0 || !S_ISREG(about.st_mode)) {
    close();
    return fail(Errc::unavailable, fmt::format("{} is no ordinary file", options_.path.string()));
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    close();
    return fail(Errc::unavailable, fmt::format("{} is being written by another process", options_.path.string()));
  }
  size_ = static_cast<std::uint64_t>(about.st_size);
  begun_ = size_ == 0 ? clock_.wall() : static_cast<base::WallMicros>(about.st_mtim.tv_sec) * 1'000'000;
  if (auto cut = cut_torn_line(); !cut) {
    close();
    return cut;
  }
  sync_folder(options_.path);
  finish_older();
  return {};
}

Result<void> SampleFile::cut_torn_line() {
  auto at = static_cast<off_t>(size_);
  const off_t floor = std::max<off_t>(0, at - kLineBytesMax);
  std::vector<char> piece(64 * 1024);
  while (at > floor) {
    const off_t from = std::max(floor, at - static_cast<off_t>(piece.size()));
    const ssize_t read = ::pread(fd_, piece.data(), static_cast<std::size_t>(at - from), from);
    if (read != at - from) return failure("cannot read");
    const std::string_view text(piece.data(), static_cast<std::size_t>(read));
    if (const std::size_t end = text.rfind('\n'); end != std::string_view::npos) {
      at = from + static_cast<off_t>(end) + 1;
      break;
    }
    at = from;
  }
  if (at == static_cast<off_t>(size_)) return {};
  if (at == floor && floor > 0) {
    return fail(Errc::unavailable,
                fmt::format("{} holds no lines: it was not written by this sink", options_.path.string()));
  }
  if (::ftruncate(fd_, at) != 0) return failure("cannot cut a torn line off");
  size_ = static_cast<std::uint64_t>(at);
  return {};
}

Result<void> SampleFile::write_all(std::string_view lines) {
  if (write_whole(fd_, lines) && (!options_.sync || ::fdatasync(fd_) == 0)) {
    size_ += lines.size();
    return {};
  }
  auto error = failure("cannot write");
  // What got there is sent again; after a failed sync nobody knows what is on disk, so the file is opened anew.
  if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) obs::log(obs::Level::warn, "a torn line may be in a file", {});
  close();
  return error;
}

bool SampleFile::is_due() const {
  if (size_ == 0) return false;
  if (size_ >= options_.size_max) return true;
  const auto age = std::chrono::microseconds(clock_.wall() - begun_);
  return options_.every > base::Duration::zero() && age >= options_.every;
}

bool SampleFile::is_still_there() const {
  struct stat ours{};
  struct stat there{};
  return ::fstat(fd_, &ours) == 0 && ::lstat(options_.path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

Result<void> SampleFile::put_aside() {
  if (::fdatasync(fd_) != 0) return failure("cannot write");
  fs::path aside = options_.path;
  base::WallMicros now = clock_.wall();
  do {
    aside.replace_filename(
        fmt::format("{}-{}{}", options_.path.stem().string(), stamp(now), options_.path.extension().string()));
    now += 1'000;
  } while (fs::exists(aside) || fs::exists(aside.string() + ".zst"));
  if (::rename(options_.path.c_str(), aside.c_str()) != 0) return failure("cannot put aside");
  sync_folder(aside);
  close();
  return {};
}

bool SampleFile::is_older(const fs::path& file) const {
  const std::string name = file.filename().string();
  const std::string start = options_.path.stem().string() + "-";
  std::string_view end = name;
  if (end.ends_with(".zst")) end.remove_suffix(4);
  constexpr std::size_t kStampBytes = std::string_view("20260131T120000.000Z").size();
  return name.starts_with(start) && end.ends_with(options_.path.extension().string()) &&
         end.size() == start.size() + kStampBytes + options_.path.extension().string().size() &&
         end[start.size() + 8] == 'T';
}

// Files that a crash left uncompressed too.
void SampleFile::finish_older() {
  const fs::path folder = options_.path.has_parent_path() ? options_.path.parent_path() : fs::path(".");
  std::error_code error;
  std::vector<fs::path> plain;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (options_.compress && is_older(entry->path()) && entry->path().extension() != ".zst") {
      plain.push_back(entry->path());
    }
  }
  for (const fs::path& file : plain) {
    if (auto done = compress(file); !done) {
      obs::log(obs::Level::warn, "a file was not compressed", {{"file", file.string()}, {"why", done.error().detail}});
    }
  }
  remove_oldest();
}

Result<void> SampleFile::compress(const fs::path& file) const {
  const std::string made = file.string() + ".zst";
  const std::string part = made + std::string(kUnfinished);
  const Descriptor from(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (from.get() < 0) return fail(Errc::unavailable, std::strerror(errno));
  ::unlink(part.c_str());
  const Descriptor to(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (to.get() < 0 || !compress_to(from.get(), to.get()) || ::rename(part.c_str(), made.c_str()) != 0) {
    const int why = errno;
    ::unlink(part.c_str());
    return fail(Errc::unavailable, std::strerror(why));
  }
  sync_folder(made);
  ::unlink(file.c_str());
  return {};
}

void SampleFile::remove_oldest() const {
  const fs::path folder = options_.path.has_parent_path() ? options_.path.parent_path() : fs::path(".");
  std::vector<fs::path> older;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (is_older(entry->path())) older.push_back(entry->path());
  }
  if (older.size() <= options_.keep) return;
  std::sort(older.begin(), older.end());
  older.resize(older.size() - options_.keep);
  for (const fs::path& file : older) ::unlink(file.c_str());
}

}  // namespace penstock::ext
