#include "spool/spool.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>

#include "spool/log.h"

namespace penstock::spool {
namespace {

// A group: what one sync is shared by. A batch that is larger goes alone.
constexpr std::size_t kGroupBytes = 1 << 20U;
// The figures are as of at most so long ago.
constexpr base::Duration kPublishEvery = std::chrono::milliseconds(50);
constexpr std::size_t kEntryExtra = 64;

std::size_t bytes_of(const Spool::Entries& entries) {
  std::size_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.bytes.size() + kEntryExtra;
  return bytes;
}

}  // namespace

// What is shared stands behind `mutex_`; the log is the thread's alone once it runs.
class Spool::Worker {
 public:
  Worker(std::unique_ptr<Log> log, const base::Clock& clock, std::size_t waiting_bytes_max)
      : log_(std::move(log)), clock_(&clock), identity_(log_->identity()), waiting_bytes_max_(waiting_bytes_max) {
    cursors_ = log_->cursors();
    aheads_ = log_->aheads();
    last_ = log_->last();
    stats_ = log_->stats();
  }

  static Result<void> start(const std::shared_ptr<Worker>& worker) {
    try {
      worker->thread_ = std::thread([worker] {
        pthread_setname_np(pthread_self(), "spool");
        worker->run();
      });
    } catch (const std::system_error& error) {
      return fail(Errc::unavailable, fmt::format("the system gives no thread for a buffer: {}", error.what()));
    }
    return {};
  }

  struct Read {
    std::uint64_t after = 0;
    std::size_t bytes_max = 0;
    std::function<void(Result<Entries>)> done;
  };

  void append(Entries entries, Stored stored);
  void read(Read read);
  std::uint64_t cursor(const std::string& name) const;
  void acknowledge(const std::string& name, std::uint64_t sequence);
  void acknowledge_ahead(const std::string& name, Ranges ranges);
  void acknowledge_from(const std::string& name, std::uint8_t least, Ranges ranges);
  Ranges acknowledged_ahead(const std::string& name) const;
  void on_append(std::function<void()> told);
  Stats stats() const;
  const std::string& identity() const { return identity_; }
  void close();

 private:
  struct Append {
    Entries entries;
    Stored stored;
    std::size_t bytes = 0;
    bool refused = false;
  };
  struct Work {
    std::deque<Append> appends;
    std::deque<Read> reads;
    std::map<std::string, std::uint64_t> acknowledged;
    Aheads aheads;
    std::map<std::string, std::pair<std::uint8_t, Ranges>> parts;
  };

  void run();
  bool wait(Work& work);
  void store(std::deque<Append>& appends);
  void store_group(std::span<Append> group);
  void serve(Read& read);
  void publish(bool now);

  std::unique_ptr<Log> log_;
  const base::Clock* clock_;
  const std::string identity_;
  const std::size_t waiting_bytes_max_;
  base::SteadyTime published_{};
  bool unpublished_ = false;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  Work waiting_;
  std::size_t waiting_bytes_ = 0;
  std::map<std::string, std::uint64_t> cursors_;
  Aheads aheads_;
  std::uint64_t last_ = 0;
  Stats stats_;
  bool closing_ = false;

  std::recursive_mutex told_mutex_;  // held while the listener runs
  std::function<void()> told_;
  std::mutex thread_mutex_;  // one caller joins
  std::thread thread_;
};

// ---- Any thread

void Spool::Worker::append(Entries entries, Stored stored) {
  std::size_t bytes = bytes_of(entries);
  {
    std::lock_guard lock(mutex_);
    if (!closing_) {
      // One that is larger than all is taken when nothing else waits.
      bool refused = waiting_bytes_ > 0 && waiting_bytes_ + bytes > waiting_bytes_max_;
      if (refused) {
        entries.clear();
        bytes = 0;
      }
      waiting_bytes_ += bytes;
      waiting_.appends.push_back({std::move(entries), std::move(stored), bytes, refused});
      wake_.notify_one();
      return;
    }
  }
  if (stored) stored(fail(Errc::cancelled, "the buffer is closed"));
}

void Spool::Worker::read(Read read) {
  {
    std::lock_guard lock(mutex_);
    if (!closing_) {
      waiting_.reads.push_back(std::move(read));
      wake_.notify_one();
      return;
    }
  }
  read.done(fail(Errc::cancelled, "the buffer is closed"));
}

std::uint64_t Spool::Worker::cursor(const std::string& name) const {
  std::lock_guard lock(mutex_);
  auto found = cursors_.find(name);
  return found == cursors_.end() ? 0 : found->second;
}

void Spool::Worker::acknowledge(const std::string& name, std::uint64_t sequence) {
  std::lock_guard lock(mutex_);
  auto found = cursors_.find(name);
  sequence = std::min(sequence, last_);
  if (found == cursors_.end() || sequence <= found->second || closing_) return;
  found->second = sequence;
  // One that waits already is told with what it waits for.
  bool first = waiting_.acknowledged.empty();
  waiting_.acknowledged[name] = sequence;
  if (first) wake_.notify_one();
}

void Spool::Worker::acknowledge_ahead(const std::string& name, Ranges ranges) {
  std::lock_guard lock(mutex_);
  if (closing_ || !cursors_.contains(name)) return;
  waiting_.aheads[name] = ranges;
  aheads_[name] = std::move(ranges);
  wake_.notify_one();
}

void Spool::Worker::acknowledge_from(const std::string& name, std::uint8_t least, Ranges ranges) {
  std::lock_guard lock(mutex_);
  if (closing_ || !cursors_.contains(name)) return;
  waiting_.parts[name] = {least, std::move(ranges)};
  wake_.notify_one();
}

Ranges Spool::Worker::acknowledged_ahead(const std::string& name) const {
  std::lock_guard lock(mutex_);
  auto found = aheads_.find(name);
  return found == aheads_.end() ? Ranges() : above(found->second, cursors_.at(name));
}

void Spool::Worker::on_append(std::function<void()> told) {
  std::lock_guard lock(told_mutex_);
  told_ = std::move(told);
}

Stats Spool::Worker::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void Spool::Worker::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    wake_.notify_one();
  }
  std::lock_guard lock(thread_mutex_);
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

// ---- The spool's thread

// False: closing, and nothing is left to do.
bool Spool::Worker::wait(Work& work) {
  std::unique_lock lock(mutex_);
  auto ready = [&] {
    return closing_ || !waiting_.appends.empty() || !waiting_.reads.empty() || !waiting_.acknowledged.empty() ||
           !waiting_.aheads.empty() || !waiting_.parts.empty();
  };
  auto due = log_->due();
  if (unpublished_) due = std::min(due.value_or(base::SteadyTime::max()), published_ + kPublishEvery);
  if (due) {
    wake_.wait_for(lock, *due - clock_->steady(), ready);
  } else {
    wake_.wait(lock, ready);
  }
  std::swap(work, waiting_);
  waiting_bytes_ = 0;
  return !closing_ || !work.appends.empty() || !work.reads.empty();
}

void Spool::Worker::run() {
  while (true) {
    Work work;
    bool more = wait(work);
    for (const auto& [name, sequence] : work.acknowledged) log_->acknowledge(name, sequence);
    for (auto& [name, ranges] : work.aheads) log_->acknowledge_ahead(name, std::move(ranges));
    for (auto& [name, part] : work.parts) log_->acknowledge_from(name, part.first, std::move(part.second));
    if (!more) break;
    store(work.appends);
    for (Read& read : work.reads) serve(read);
    log_->tend();
    publish(false);
  }
  log_->close();
  publish(true);
  // The folder is free for the next one.
  log_ = nullptr;
  on_append({});
}

void Spool::Worker::store(std::deque<Append>& appends) {
  std::vector<Append> group;
  std::size_t bytes = 0;
  while (!appends.empty()) {
    Append& next = appends.front();
    if (!group.empty() && bytes + next.bytes > kGroupBytes) {
      store_group(group);
      group.clear();
      bytes = 0;
    }
    bytes += next.bytes;
    group.push_back(std::move(next));
    appends.pop_front();
  }
  if (!group.empty()) store_group(group);
}

void Spool::Worker::store_group(std::span<Append> group) {
  std::vector<Batch> batches(group.size());
  for (std::size_t i = 0; i < group.size(); ++i) batches[i].entries = &group[i].entries;
  std::uint64_t before = log_->last();
  log_->store(batches);
  bool grown = log_->last() > before;
  {
    std::lock_guard lock(mutex_);
    last_ = log_->last();
  }
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (!group[i].stored) continue;
    if (group[i].refused) {
      group[i].stored(fail(Errc::backpressure, "too much waits to be written to the buffer's disk: try again later"));
    } else {
      group[i].stored(std::move(batches[i].first));
    }
  }
  std::lock_guard lock(told_mutex_);
  if (grown && told_) {
    auto told = told_;  // it may put another one in its place
    told();
  }
}

void Spool::Worker::serve(Read& read) { read.done(log_->read(read.after, read.bytes_max)); }

void Spool::Worker::publish(bool now) {
  base::SteadyTime time = clock_->steady();
  unpublished_ = !now && time - published_ < kPublishEvery;
  if (unpublished_) return;
  published_ = time;
  Stats stats = log_->stats();
  std::lock_guard lock(mutex_);
  stats_ = std::move(stats);
}

// ---- The handle

Spool::Spool(std::shared_ptr<Worker> worker) : worker_(std::move(worker)) {}
Spool::~Spool() { close(); }

Result<std::shared_ptr<Spool>> Spool::open(Options options, Storage& storage, const base::Clock& clock) {
  std::size_t waiting = options.waiting_bytes_max;
  auto log = Log::open(std::move(options), storage, clock);
  if (!log) return std::unexpected(log.error());
  auto worker = std::make_shared<Worker>(std::move(*log), clock, waiting);
  if (auto started = Worker::start(worker); !started) return std::unexpected(started.error());
  return std::shared_ptr<Spool>(new Spool(std::move(worker)));
}

void Spool::append(Entries entries, Stored stored) { worker_->append(std::move(entries), std::move(stored)); }

void Spool::read(std::uint64_t after, std::size_t bytes_max, std::function<void(Result<Entries>)> done) {
  worker_->read({after, bytes_max, std::move(done)});
}

std::uint64_t Spool::cursor(const std::string& name) const { return worker_->cursor(name); }

void Spool::acknowledge(const std::string& name, std::uint64_t sequence) { worker_->acknowledge(name, sequence); }

void Spool::acknowledge_ahead(const std::string& name, Ranges ranges) {
  worker_->acknowledge_ahead(name, std::move(ranges));
}

void Spool::acknowledge_from(const std::string& name, std::uint8_t least, Ranges ranges) {
  worker_->acknowledge_from(name, least, std::move(ranges));
}

Ranges Spool::acknowledged_ahead(const std::string& name) const { return worker_->acknowledged_ahead(name); }

void Spool::on_append(std::function<void()> told) { worker_->on_append(std::move(told)); }

Stats Spool::stats() const { return worker_->stats(); }

const std::string& Spool::identity() const { return worker_->identity(); }

void Spool::close() { worker_->close(); }

}  // namespace penstock::spool
