#include "ext/sources/file/progress.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "json/value.h"
#include "obs/log.h"

namespace penstock::ext {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kFileBytesMax = 4U << 20;

std::uint64_t number_of(const json::Value& value, std::string_view name) {
  // Hashes and inodes need all 64 bits, which a JSON number may lose.
  const std::string_view text = json::string_or(value, name, "0");
  return std::strtoull(std::string(text).c_str(), nullptr, 10);
}

bool replace_file(const fs::path& file, std::string_view text) {
  const std::string part = file.string() + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return false;
  bool good = true;
  for (std::string_view rest = text; good && !rest.empty();) {
    const ssize_t wrote = ::write(fd, rest.data(), rest.size());
    if (wrote < 0 && errno == EINTR) continue;
    good = wrote > 0;
    if (good) rest.remove_prefix(static_cast<std::size_t>(wrote));
  }
  good = good && ::fdatasync(fd) == 0;
  ::close(fd);
  return good && ::rename(part.c_str(), file.c_str()) == 0;
}

}  // namespace

std::shared_ptr<Progress> Progress::open(const fs::path& file) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Progress>> known;
  std::lock_guard lock(mutex);
  std::weak_ptr<Progress>& slot = known[file.string()];
  if (auto alive = slot.lock(); alive && !file.empty()) {
    // What the last one did not deliver is read again.
    std::lock_guard inner(alive->mutex_);
    for (auto& [path, one] : alive->files_) one.waiting.clear();
    return alive;
  }
  std::shared_ptr<Progress> made(new Progress(file));
  if (!file.empty()) made->load();
  slot = made;
  return made;
}

Progress::~Progress() { save(); }

void Progress::load() {
  std::error_code error;
  if (const auto size = fs::file_size(file_, error); error || size > kFileBytesMax) return;
  std::ifstream in(file_, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  auto value = json::parse(text);
  const json::Object* object = value ? value->if_object() : nullptr;
  if (object == nullptr) {
    obs::log(obs::Level::warn, "the positions of a file source cannot be read: its files are read from their beginning",
             {{"file", file_.string()}});
    return;
  }
  for (const auto& member : *object) {
    files_[std::string(member.key())].position = FileMark{
        number_of(member.value(), "device"), number_of(member.value(), "inode"), number_of(member.value(), "offset"),
        number_of(member.value(), "head_bytes"), number_of(member.value(), "head_hash")};
  }
}

std::optional<FileMark> Progress::position(const std::string& path) const {
  std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  return found == files_.end() ? std::nullopt : found->second.position;
}

std::shared_ptr<const Progress::Piece> Progress::begin(const std::string& path, const FileMark& end) {
  std::lock_guard lock(mutex_);
  const std::uint64_t number = next_++;
  files_[path].waiting.push_back({number, end});
  return std::make_shared<const Piece>(shared_from_this(), path, number);
}

void Progress::settle(const std::string& path, std::uint64_t number) {
  std::lock_guard lock(mutex_);
  const auto file = files_.find(path);
  if (file == files_.end()) return;
  std::deque<Waiting>& waiting = file->second.waiting;
  for (Waiting& one : waiting) {
    if (one.number == number) one.settled = true;
  }
  while (!waiting.empty() && waiting.front().settled) {
    file->second.position = waiting.front().end;
    waiting.pop_front();
    changed_ = true;
  }
}

void Progress::forget(const std::string& path, std::uint64_t number) {
  std::lock_guard lock(mutex_);
  if (const auto file = files_.find(path); file != files_.end()) {
    std::erase_if(file->second.waiting, [&](const Waiting& one) { return one.number == number; });
  }
}

void Progress::keep(const std::vector<std::string>& paths) {
  std::lock_guard lock(mutex_);
  changed_ = std::erase_if(files_,
                           [&](const auto& one) {
                             return std::find(paths.begin(), paths.end(), one.first) == paths.end() &&
                                    one.second.waiting.empty();
                           }) > 0 ||
             changed_;
}

void Progress::save() {
  json::Object all;
  {
    std::lock_guard lock(mutex_);
    if (!std::exchange(changed_, false) || file_.empty()) return;
    for (const auto& [path, one] : files_) {
      if (!one.position) continue;
      json::Object entry;
      entry["device"] = std::to_string(one.position->device);
      entry["inode"] = std::to_string(one.position->inode);
      entry["offset"] = std::to_string(one.position->offset);
      entry["head_bytes"] = std::to_string(one.position->head_bytes);
      entry["head_hash"] = std::to_string(one.position->head_hash);
      all[path] = std::move(entry);
    }
  }
  std::error_code error;
  fs::create_directories(file_.parent_path(), error);
  if (replace_file(file_, json::dump(all))) return;
  obs::log(obs::Level::warn, "the positions of a file source cannot be written: after a restart samples come twice",
           {{"file", file_.string()}, {"why", std::strerror(errno)}});
  std::lock_guard lock(mutex_);
  changed_ = true;
}

}  // namespace penstock::ext
