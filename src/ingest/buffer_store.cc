#include "ingest/buffer_store.h"

#include <algorithm>
#include <filesystem>
#include <optional>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Left free on the disk for the gateway's other files.
constexpr std::uint64_t kFreeBytesMin = 16 << 20U;
// The process before an upgrade may still be closing it.
constexpr base::Duration kLockWait = 5s;
constexpr std::size_t kWorkMax = 4096;
constexpr std::string_view kKinds[] = {"buffers", "journals"};

spool::Options spool_options(const BufferOptions& options, std::string folder, std::vector<std::string> cursors,
                             bool of_sink) {
  spool::Options result;
  result.folder = std::move(folder);
  result.cursors = std::move(cursors);
  result.bytes_max = options.disk;
  result.records_max = options.records;
  result.age_max = options.age;
  result.free_bytes_min = kFreeBytesMin;
  result.full = options.full;
  // A sink's bulk may wait alone, and must not keep what was delivered past it.
  result.by_priority = of_sink || options.full == spool::Full::drop_oldest;
  // A sink bounds what waits in memory itself, and gives all of it here when it stops.
  if (of_sink) result.waiting_bytes_max = SIZE_MAX;
  result.sync = options.sync;
  if (options.sync == spool::Sync::interval) result.sync_every = options.sync_every;
  result.compress = options.compress;
  result.key = options.key;
  result.lock_wait = kLockWait;
  return result;
}

}  // namespace

BufferStore::BufferStore(std::string data_dir, const base::Clock& clock,
                         std::function<void(const std::string&, const std::string&)> report)
    : data_dir_(std::move(data_dir)), clock_(clock), report_(std::move(report)) {}

BufferStore::~BufferStore() {
  std::unique_ptr<rt::Pool> pool;
  {
    std::lock_guard lock(mutex_);
    pool = std::move(pool_);
  }
}

// A gateway without buffers has no thread for them.
void BufferStore::work(std::function<void()> what) {
  {
    std::lock_guard lock(mutex_);
    if (!pool_) pool_ = std::make_unique<rt::Pool>("buffers", 1, kWorkMax);
    if (pool_->submit([what] { what(); })) return;
  }
  // There are fewer buffers than that, and each is opened or closed once at a time: the system gives no thread.
  what();
}

void BufferStore::acquire(std::string name, const BufferOptions& options, std::vector<std::string> cursors,
                          Opened done) {
  Wish wish{
      spool_options(options, fmt::format("{}/{}", data_dir_, name), std::move(cursors), name.starts_with(kKinds[0])),
      std::move(done)};
  wish.options.report = [report = report_, name](const std::string& what) {
    if (report) report(name, what);
  };
  {
    std::lock_guard lock(mutex_);
    Place& place = places_[name];
    if (place.taken) {
      place.waiting.push_back(std::move(wish));
      return;
    }
    place.taken = true;
  }
  auto shared = std::make_shared<Wish>(std::move(wish));
  work([this, name, shared] { open(name, std::move(*shared)); });
}

void BufferStore::open(const std::string& name, Wish wish) {
  auto opened = data_dir_.empty() ? fail(Errc::failed_precondition, "this run writes nothing to the disk")
                                  : spool::Spool::open(std::move(wish.options), spool::local_storage(), clock_);
  {
    std::lock_guard lock(mutex_);
    Place& place = places_[name];
    place.trouble = opened ? "" : opened.error().detail;
    if (opened) place.spool = *opened;
  }
  const bool failed = !opened;
  wish.done(std::move(opened));
  if (failed) next(name);
}

void BufferStore::release(const std::string& name) {
  work([this, name] { close(name); });
}

// On the store's thread: the failed opening has ended when it is this one's turn.
void BufferStore::give_up(const std::string& name) {
  work([this, name] {
    std::lock_guard lock(mutex_);
    const auto place = places_.find(name);
    if (place != places_.end() && !place->second.taken) places_.erase(place);
  });
}

void BufferStore::close(const std::string& name) {
  std::shared_ptr<spool::Spool> spool;
  {
    std::lock_guard lock(mutex_);
    spool = std::move(places_[name].spool);
  }
  if (spool) spool->close();
  spool.reset();
  next(name);
}

void BufferStore::next(const std::string& name) {
  std::optional<Wish> wish;
  {
    std::lock_guard lock(mutex_);
    Place& place = places_[name];
    if (place.waiting.empty()) {
      place.taken = false;
      if (place.trouble.empty()) places_.erase(name);
      return;
    }
    wish = std::move(place.waiting.front());
    place.waiting.erase(place.waiting.begin());
  }
  open(name, std::move(*wish));
}

void BufferStore::settle(std::function<void()> done) {
  bool idle = false;
  {
    std::lock_guard lock(mutex_);
    idle = !pool_;
  }
  if (idle) return done();
  work(std::move(done));
}

std::vector<std::string> BufferStore::on_disk() const {
  std::vector<std::string> names;
  if (data_dir_.empty()) return names;
  for (const std::string_view kind : kKinds) {
    std::error_code error;
    for (fs::directory_iterator at(fs::path(data_dir_) / kind, error), end; !error && at != end; at.increment(error)) {
      std::error_code ignored;
      if (at->is_directory(ignored) && !at->is_symlink(ignored)) {
        names.push_back(fmt::format("{}/{}", kind, at->path().filename().string()));
      }
    }
  }
  return names;
}

std::uint64_t BufferStore::bytes_of(const std::string& name) const {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(fs::path(data_dir_) / name, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code ignored;
    const std::uintmax_t size = at->is_regular_file(ignored) ? at->file_size(ignored) : 0;
    if (!ignored) bytes += size;
  }
  return bytes;
}

std::vector<BufferStatus> BufferStore::status() const {
  std::map<std::string, BufferStatus> found;
  std::map<std::string, std::shared_ptr<spool::Spool>> open;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [name, place] : places_) {
      found[name] = {.name = name, .in_use = true, .trouble = place.trouble, .stats = {}};
      open[name] = place.spool;
    }
  }
  for (const auto& [name, spool] : open) {
    if (spool) found[name].stats = spool->stats();
  }
  for (const std::string& name : on_disk()) {
    auto [at, fresh] = found.try_emplace(name);
    if (!fresh) continue;
    at->second.name = name;
    at->second.stats.bytes = bytes_of(name);
  }
  std::vector<BufferStatus> result;
  for (auto& [name, status] : found) result.push_back(std::move(status));
  return result;
}

Result<void> BufferStore::remove(const std::string& name) {
  const std::vector<std::string> names = on_disk();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return fail(Errc::not_found, fmt::format("there is no buffer '{}'", name));
  }
  {
    std::lock_guard lock(mutex_);
    const auto known = places_.find(name);
    if (known != places_.end()) {
      const std::string& trouble = known->second.trouble;
      return fail(
          Errc::failed_precondition,
          fmt::format("the buffer '{}' {}: take its sink or source out of the configuration first", name,
                      trouble.empty() ? "is in use" : fmt::format("is in use and cannot be opened ({})", trouble)));
    }
    places_[name].taken = true;
  }
  const std::string folder = fmt::format("{}/{}", data_dir_, name);
  std::error_code error;
  // A gateway before an upgrade may still work on it.
  const auto lock = spool::local_storage().lock(folder, {});
  if (lock) fs::remove_all(folder, error);
  next(name);
  if (!lock) {
    return fail(lock.error().code == Errc::already_exists ? Errc::failed_precondition : Errc::unavailable,
                fmt::format("the buffer '{}' is not removed: {}", name, lock.error().detail));
  }
  if (error)
    return fail(Errc::unavailable, fmt::format("the buffer '{}' cannot be removed: {}", name, error.message()));
  return {};
}

}  // namespace penstock::ingest
