#include "ingest/dead_letters.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "ingest/sample_json.h"
#include "json/value.h"
#include "spool/storage.h"

namespace penstock::ingest {
namespace {

constexpr std::uint64_t kFileBytesMax = 2 * DeadLetters::kBytesMax;  // then it is written anew
constexpr std::size_t kWhyBytesMax = 1000;
constexpr auto kWriteAgain = std::chrono::seconds(1);

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool good() const { return fd_ >= 0; }
  bool write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno != EINTR) return false;
      if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  bool sync() const { return ::fdatasync(fd_) == 0; }
  std::string read() const {
    std::string text;
    std::array<char, 65536> piece{};
    while (text.size() <= kFileBytesMax) {
      const ssize_t got = ::read(fd_, piece.data(), piece.size());
      if (got <= 0) break;
      text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  int fd_;
};

std::unexpected<Error> cannot_write(const std::string& path) {
  return fail(Errc::unavailable, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

std::string line_of(const KeptLetter& letter) {
  std::string line = fmt::format(R"({{"id":{},"at":{},"where":)", letter.id, letter.at);
  json::append_quoted(line, letter.where);
  line += ",\"why\":";
  json::append_quoted(line, letter.why);
  line += ",\"sample\":" + letter.sample + "}\n";
  return line;
}

// Nothing for a line that is none: the last one may be torn.
std::optional<KeptLetter> letter_of(std::string_view line) {
  auto value = json::parse(line);
  const json::Value* sample = value ? json::find(*value, "sample") : nullptr;
  if (sample == nullptr) return std::nullopt;
  KeptLetter letter;
  letter.id = static_cast<std::uint64_t>(std::max<std::int64_t>(0, json::int_or(*value, "id", 0)));
  letter.at = json::int_or(*value, "at", 0);
  letter.where = json::string_or(*value, "where", "");
  letter.why = json::string_or(*value, "why", "");
  letter.sample = json::dump(*sample);
  return letter;
}

}  // namespace

DeadLetters::DeadLetters(std::string file, const base::Clock& clock, std::function<void()> dirty)
    : file_(std::move(file)), clock_(clock), dirty_(std::move(dirty)) {
  if (!file_.empty()) load();
}

void DeadLetters::load() {
  const File file(file_, O_RDONLY);
  if (!file.good()) return;
  const std::string text = file.read();
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    rewrite_ = rewrite_ || end == rest.size();  // torn: what follows must not be glued to it
    if (auto letter = letter_of(rest.substr(0, end))) {
      next_id_ = std::max(next_id_, letter->id + 1);
      bytes_ += letter->sample.size();
      letters_.push_back(std::move(*letter));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  file_bytes_ = text.size();
  trim();
}

// With the lock.
void DeadLetters::trim() {
  while (letters_.size() > kMost || bytes_ > kBytesMax) {
    bytes_ -= letters_.front().sample.size();
    receipts_.erase(letters_.front().id);
    letters_.pop_front();
  }
}

void DeadLetters::add(DeadLetter letter) {
  const base::WallMicros now = clock_.wall();
  {
    std::lock_guard lock(mutex_);
    ++total_;
    const auto second = static_cast<std::uint64_t>(now / 1'000'000);
    in_second_ = second == second_ ? in_second_ + 1 : 1;
    second_ = second;
    if (in_second_ > kPerSecondMax) return;
    KeptLetter kept{next_id_++, now, std::move(letter.where), letter.why.substr(0, kWhyBytesMax), {}};
    kept.sample = to_json(letter.sample);
    if (kept.sample.size() > kBytesMax) return;
    if (!file_.empty()) {
      unwritten_ += line_of(kept);
      if (letter.sample.receipt) receipts_[kept.id] = std::move(letter.sample.receipt);
    }
    bytes_ += kept.sample.size();
    letters_.push_back(std::move(kept));
    trim();
  }
  if (!file_.empty()) dirty_();
}

std::vector<KeptLetter> DeadLetters::newest(std::size_t limit) const {
  std::lock_guard lock(mutex_);
  limit = std::min(limit, letters_.size());
  return {letters_.rbegin(), letters_.rbegin() + static_cast<std::ptrdiff_t>(limit)};
}

std::vector<KeptLetter> DeadLetters::take(const std::set<std::uint64_t>& ids) {
  std::vector<KeptLetter> taken;
  {
    std::lock_guard lock(mutex_);
    std::deque<KeptLetter> left;
    for (KeptLetter& letter : letters_) {
      const bool stays = !ids.empty() && !ids.contains(letter.id);
      if (stays) {
        left.push_back(std::move(letter));
      } else {
        taken.push_back(std::move(letter));
      }
    }
    letters_ = std::move(left);
    for (const KeptLetter& letter : taken) bytes_ -= letter.sample.size();
    rewrite_ = true;
  }
  if (!file_.empty() && !taken.empty()) dirty_();
  return taken;
}

void DeadLetters::put_back(std::vector<KeptLetter> letters) {
  if (letters.empty()) return;
  {
    std::lock_guard lock(mutex_);
    for (KeptLetter& letter : letters) {
      bytes_ += letter.sample.size();
      letters_.push_back(std::move(letter));
    }
    std::sort(letters_.begin(), letters_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    trim();
    rewrite_ = true;
  }
  if (!file_.empty()) dirty_();
}

std::size_t DeadLetters::size() const {
  std::lock_guard lock(mutex_);
  return letters_.size();
}

std::uint64_t DeadLetters::total() const {
  std::lock_guard lock(mutex_);
  return total_;
}

std::string DeadLetters::trouble() const {
  std::lock_guard lock(mutex_);
  return trouble_;
}

DeadLetters::Work DeadLetters::take_work() {
  std::lock_guard lock(mutex_);
  Work work;
  work.last_id = next_id_ - 1;
  work.text = std::exchange(unwritten_, {});
  work.rewrite = std::exchange(rewrite_, false) || file_bytes_ + work.text.size() > kFileBytesMax;
  if (!work.rewrite) return work;
  work.text.clear();
  for (const KeptLetter& letter : letters_) work.text += line_of(letter);
  return work;
}

Result<void> DeadLetters::store(const Work& work) {
  if (!work.rewrite) {
    const bool made = ::access(file_.c_str(), F_OK) != 0;
    const File file(file_, O_WRONLY | O_CREAT | O_APPEND);
    if (!file.good() || !file.write(work.text) || !file.sync()) return cannot_write(file_);
    return made ? sync_name() : Result<void>();
  }
  const std::string fresh = file_ + ".new";
  ::unlink(fresh.c_str());
  {
    const File file(fresh, O_WRONLY | O_CREAT | O_EXCL);
    if (!file.good() || !file.write(work.text) || !file.sync()) return cannot_write(fresh);
  }
  if (::rename(fresh.c_str(), file_.c_str()) != 0) return cannot_write(file_);
  return sync_name();
}

// Without it a power loss may bring back the file before.
Result<void> DeadLetters::sync_name() const {
  return spool::local_storage().sync_folder(file_.substr(0, file_.rfind('/')));
}

bool DeadLetters::write() {
  const Work work = take_work();
  if (!work.rewrite && work.text.empty()) return true;
  auto stored = store(work);
  std::lock_guard lock(mutex_);
  trouble_ = stored ? std::string() : stored.error().detail;
  if (!stored) {
    // Half a line may stand there: all of it anew the next time.
    rewrite_ = true;
    return false;
  }
  file_bytes_ = work.rewrite ? work.text.size() : file_bytes_ + work.text.size();
  receipts_.erase(receipts_.begin(), receipts_.upper_bound(work.last_id));
  return true;
}

DeadLetterStore::DeadLetterStore(std::string folder, const base::Clock& clock)
    : folder_(std::move(folder)), clock_(clock) {}

DeadLetterStore::~DeadLetterStore() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  } else if (dirty_) {
    run();
  }
}

std::shared_ptr<DeadLetters> DeadLetterStore::of(const std::string& pipeline) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<DeadLetters>& letters = all_[pipeline];
  if (letters) return letters;
  std::string file = folder_.empty() ? std::string() : fmt::format("{}/{}.ndjson", folder_, pipeline);
  letters = std::make_shared<DeadLetters>(std::move(file), clock_, [this] {
    std::lock_guard dirty_lock(mutex_);
    dirty_ = true;
    if (!thread_.joinable() && !stopping_) {
      try {
        thread_ = std::thread([this] { run(); });
      } catch (const std::system_error&) {
        // The system gives none: the next letter asks again.
      }
    }
    wake_.notify_all();
  });
  return letters;
}

void DeadLetterStore::run() {
  bool written = true;
  std::unique_lock lock(mutex_);
  while (true) {
    if (written) {
      wake_.wait(lock, [this] { return dirty_ || stopping_; });
    } else {
      wake_.wait_for(lock, kWriteAgain, [this] { return stopping_; });
    }
    if (!std::exchange(dirty_, false) && (written || stopping_)) return;
    std::vector<std::shared_ptr<DeadLetters>> all;
    for (const auto& [name, letters] : all_) all.push_back(letters);
    lock.unlock();
    if (::mkdir(folder_.c_str(), 0700) == 0)
      (void)spool::local_storage().sync_folder(folder_.substr(0, folder_.rfind('/')));
    written = true;
    for (const auto& letters : all) written = letters->write() && written;
    lock.lock();
  }
}

}  // namespace penstock::ingest
