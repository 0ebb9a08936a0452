#include "ext/sources/file/line_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penstock::ext {
namespace {

constexpr std::size_t kHeadBytes = 256;

// FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/
std::uint64_t hash_of(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// Behind the last line of `text` that is whole, after at most `lines_max` of them; 0 when none is.
std::size_t end_of_lines(std::string_view text, std::size_t lines_max, bool quotes) {
  std::size_t end = 0;
  std::size_t lines = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quotes && text[i] == '"') quoted = !quoted;
    if (text[i] != '\n' || quoted) continue;
    end = i + 1;
    if (++lines == lines_max) break;
  }
  return end;
}

}  // namespace

Result<std::unique_ptr<LineFile>> LineFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    const Errc code = errno == ENOENT ? Errc::not_found : Errc::unavailable;
    return fail(code, fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  }
  struct stat about{};
  if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    ::close(fd);
    return fail(Errc::unavailable, fmt::format("{} is no ordinary file", path.string()));
  }
  return std::unique_ptr<LineFile>(new LineFile(fd, about.st_dev, about.st_ino));
}

LineFile::~LineFile() { ::close(fd_); }

std::string LineFile::bytes_at(std::uint64_t offset, std::size_t count) const {
  std::string bytes(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const ssize_t read = ::pread(fd_, bytes.data() + have, count - have, static_cast<off_t>(offset + have));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) break;
    have += static_cast<std::size_t>(read);
  }
  bytes.resize(have);
  return bytes;
}

FileMark LineFile::mark() {
  // The beginning is looked at until enough of it was read; what was read does not change.
  if (head_bytes_ < kHeadBytes && head_bytes_ < offset_) {
    const std::string head = bytes_at(0, static_cast<std::size_t>(std::min<std::uint64_t>(kHeadBytes, offset_)));
    head_bytes_ = head.size();
    head_hash_ = hash_of(head);
  }
  return {device_, inode_, offset_, head_bytes_, head_hash_};
}

bool LineFile::resume(const FileMark& mark) {
  if (!is(mark.device, mark.inode)) return false;
  const std::string head = bytes_at(0, static_cast<std::size_t>(std::min<std::uint64_t>(kHeadBytes, mark.head_bytes)));
  struct stat about{};
  if (head.size() != mark.head_bytes || hash_of(head) != mark.head_hash || ::fstat(fd_, &about) != 0 ||
      static_cast<std::uint64_t>(about.st_size) < mark.offset) {
    return mark.offset == 0;
  }
  offset_ = mark.offset;
  head_bytes_ = 0;
  return true;
}

std::optional<std::string> LineFile::first_line() {
  std::string text = bytes_at(0, kLineBytesMax);
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) return std::nullopt;
  text.resize(end);
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

Result<std::string> LineFile::read(bool quotes, bool last) {
  struct stat about{};
  if (::fstat(fd_, &about) != 0) return fail(Errc::unavailable, std::strerror(errno));
  if (static_cast<std::uint64_t>(about.st_size) < offset_) {
    offset_ = 0;
    head_bytes_ = 0;
    skipping_ = false;
  }
  std::string text = bytes_at(offset_, kLineBytesMax);
  if (skipping_) {
    const std::size_t end = text.find('\n');
    skipping_ = end == std::string::npos;
    const std::size_t skipped = skipping_ ? text.size() : end + 1;
    offset_ += skipped;
    text.erase(0, skipped);
  }
  std::size_t end = end_of_lines(text, kLinesMax, quotes);
  if (end == 0 && text.size() >= kLineBytesMax) {
    // A quote that is never closed must not hide the rest of the file.
    const std::size_t broken = text.find('\n');
    skipping_ = broken == std::string::npos;
    offset_ += skipping_ ? text.size() : broken + 1;
    return fail(Errc::data_loss, fmt::format("a line is longer than {} bytes", kLineBytesMax));
  }
  if (end == 0 && last) end = text.size();
  text.resize(end);
  offset_ += end;
  return text;
}

}  // namespace penstock::ext
