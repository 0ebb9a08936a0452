#include <algorithm>
#include <deque>
#include <mutex>

#include "ingest/buffer_store.h"
#include "ingest/follower.h"
#include "ingest/outlet_queue.h"
#include "ingest/sample_bytes.h"

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kCursor = "sink";
constexpr base::Duration kAppendAgain = 1s;
// Of one append, about.
constexpr std::size_t kAppendBytes = 1U << 20;
constexpr base::Duration kAppendSoon = 10ms;  // the disk is only slow
constexpr base::Duration kOpenAgain = 10s;
// Held for a disk that takes them in a moment, before the source is refused.
constexpr std::size_t kHeldLeast = 10'000;

// Samples are appended by the turn and handed out once they are stored. Those that the disk does not take stay in
// memory with their receipts, are tried again, and go out directly meanwhile: a broken disk costs durability, not
// delivery.
class DurableQueue : public OutletQueue, public rt::TurnEnd, public std::enable_shared_from_this<DurableQueue> {
 public:
  DurableQueue(std::string name, BufferOptions options, BufferStore& store)
      : name_(std::move(name)), options_(std::move(options)), store_(store) {}

  void start(rt::Loop& loop, std::function<void()> ready) override;
  void push(const Sample& sample) override;
  Taken take(std::size_t count, bool backlog) override;
  void confirmed(const std::vector<Run>& runs, bool replayed) override;
  ReceiptPtr receipt_of(const Sample& sample) override;
  void put_back(const std::vector<Sample>& samples) override;
  void failed() override;
  void set_least(Priority least) override;
  bool keeps() const override { return true; }
  bool empty() const override { return false; }
  void stop() override;
  QueueFigures figures() const override;
  void on_turn_end() override;

 private:
  class Elsewhere;
  void open();
  void opened(Result<std::shared_ptr<spool::Spool>> spool);
  void append(std::vector<Sample> samples);
  void appended(std::vector<Sample> samples, const Result<std::uint64_t>& first);
  void bound_memory();
  void append_unstored();
  void append_some();
  // Samples in memory that are for the disk, before the source is refused or some are dropped.
  std::size_t held_most() const { return disk_works_ ? std::max(options_.memory, kHeldLeast) : options_.memory; }
  bool refuses() const { return disk_works_ || options_.answered_for || options_.full == spool::Full::refuse; }
  // A batch is either from the disk or from unstored_.
  static bool on_disk(const std::vector<Sample>& batch) { return !batch.empty() && batch.front().position != 0; }
  void count();
  void set_trouble(std::string trouble);

  const std::string name_;
  const BufferOptions options_;
  BufferStore& store_;
  rt::Loop* loop_ = nullptr;
  std::function<void()> ready_;
  std::unique_ptr<rt::Timer> timer_;  // opening or appending again
  std::shared_ptr<spool::Spool> spool_;
  std::shared_ptr<Follower> follower_;
  Priority least_ = Priority::bulk;
  std::vector<Sample> fresh_;    // of this turn
  std::deque<Sample> unstored_;  // oldest first
  bool appending_ = false;       // an append is under way
  bool refused_ = false;         // the last one was not taken
  bool open_failed_ = false;     // delivery goes on without the disk
  bool disk_works_ = true;       // it is only being opened, or slow: a bound of memory loses nothing meanwhile
  bool stopped_ = false;
  std::atomic<std::uint64_t> waiting_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> replayed_{0};
  std::atomic<bool> later_{false};    // samples of a later version wait on the disk
  mutable std::mutex trouble_mutex_;  // guards the one below
  std::string trouble_;
};

void DurableQueue::start(rt::Loop& loop, std::function<void()> ready) {
  loop_ = &loop;
  ready_ = std::move(ready);
  timer_ = std::make_unique<rt::Timer>(loop);
  open();
}

void DurableQueue::open() {
  store_.acquire(name_, options_, {std::string(kCursor)},
                 [self = shared_from_this(), loop = loop_](Result<std::shared_ptr<spool::Spool>> spool) {
                   loop->post([self, spool = std::move(spool)] { self->opened(spool); });
                 });
}

void DurableQueue::opened(Result<std::shared_ptr<spool::Spool>> spool) {
  if (stopped_) {
    if (spool) {
      store_.release(name_);
    } else {
      store_.give_up(name_);
    }
    return;
  }
  open_failed_ = !spool;
  disk_works_ = spool.has_value();
  set_trouble(spool ? "" : fmt::format("the buffer {} cannot be opened: {}", name_, spool.error().detail));
  if (!spool) {
    timer_->arm_in(kOpenAgain, [this] { open(); });
    return ready_();
  }
  spool_ = std::move(*spool);
  FollowerOptions following;
  following.cursors = {std::string(kCursor)};
  following.memory = options_.memory;
  following.live_first = options_.live_first;
  following.replay = options_.replay;
  // A buffer that was removed begins to count again: the folder's identity keeps the names apart.
  following.origin =
      std::make_shared<const std::string>(fmt::format("{}/{}", name_.substr(name_.find('/') + 1), spool_->identity()));
  follower_ = std::make_shared<Follower>(*loop_, spool_, std::move(following), ready_);
  follower_->set_least(least_);
  append_unstored();
  ready_();
}

void DurableQueue::push(const Sample& sample) {
  if (stopped_) return;
  if (fresh_.empty()) loop_->at_turn_end(this);
  fresh_.push_back(sample);
}

void DurableQueue::on_turn_end() {
  if (!fresh_.empty()) append(std::exchange(fresh_, {}));
}

// One append is under way at a time: were it refused while a later one is taken, the order would be lost. What comes
// meanwhile goes with the next.
void DurableQueue::append_unstored() {
  if (spool_ && !appending_ && !unstored_.empty() && !timer_->armed()) append_some();
}

void DurableQueue::append_some() {
  const std::size_t bytes_most = std::min<std::size_t>(kAppendBytes, options_.disk / 4);
  // An append fits whole or not at all: a part of the bound, so that some of what is there makes room for it.
  const std::size_t records_most = options_.records == 0 ? SIZE_MAX : std::max<std::size_t>(1, options_.records / 16);
  spool::Spool::Entries entries;
  auto held = std::make_shared<std::vector<Sample>>();
  for (std::size_t bytes = 0; !unstored_.empty() && bytes < bytes_most && entries.size() < records_most;) {
    const Sample& sample = unstored_.front();
    auto& entry = entries.emplace_back();
    append_bytes(entry.bytes, sample);
    entry.time = sample.ingest_time;
    entry.priority = static_cast<std::uint8_t>(sample.priority);
    bytes += entry.bytes.size();
    held->push_back(std::move(unstored_.front()));
    unstored_.pop_front();
  }
  appending_ = true;
  spool_->append(std::move(entries), [self = shared_from_this(), loop = loop_, held](Result<std::uint64_t> first) {
    // Stored or dropped by rule: whoever waits for that is told now, not when this loop comes to it.
    if (first) {
      for (Sample& sample : *held) sample.receipt.reset();
    }
    loop->post([self, held, first = std::move(first)] { self->appended(std::move(*held), first); });
  });
}

void DurableQueue::appended(std::vector<Sample> samples, const Result<std::uint64_t>& first) {
  appending_ = false;
  refused_ = !first;
  disk_works_ = first || first.error().code == Errc::backpressure;
  if (!first) {
    set_trouble(fmt::format("the buffer {} takes nothing: {}", name_, first.error().detail));
    if (stopped_) {
      for (const Sample& sample : samples) {
        if (sample.receipt) sample.receipt->abandon();
      }
      dropped_.fetch_add(samples.size(), std::memory_order_relaxed);
      return;
    }
    // Back in front of what came meanwhile.
    unstored_.insert(unstored_.begin(), std::make_move_iterator(samples.begin()),
                     std::make_move_iterator(samples.end()));
    bound_memory();
    timer_->arm_in(first.error().code == Errc::backpressure ? kAppendSoon : kAppendAgain,
                   [this] { append_unstored(); });
    return ready_();
  }
  if (stopped_) return;
  set_trouble("");
  if (*first == 0) {
    dropped_.fetch_add(samples.size(), std::memory_order_relaxed);
  } else {
    follower_->stored(*first, std::move(samples));
  }
  append_unstored();
  count();
}

void DurableQueue::append(std::vector<Sample> samples) {
  std::move(samples.begin(), samples.end(), std::back_inserter(unstored_));
  append_unstored();
  bound_memory();
}

void DurableQueue::bound_memory() {
  while (!refuses() && unstored_.size() > held_most()) {
    if (options_.full == spool::Full::drop_newest) {
      unstored_.pop_back();
    } else {
      unstored_.pop_front();
    }
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  count();
  if (open_failed_) ready_();
}

OutletQueue::Taken DurableQueue::take(std::size_t count_most, bool backlog) {
  Taken taken;
  if (follower_) {
    Follower::Taken followed = follower_->take(count_most, backlog);
    taken = {std::move(followed.samples), followed.replayed};
  }
  if (taken.samples.empty() && (open_failed_ || (follower_ && !appending_ && refused_ && follower_->drained()))) {
    for (auto at = unstored_.begin(); at != unstored_.end() && taken.samples.size() < count_most;) {
      if (at->priority < least_) {
        ++at;
        continue;
      }
      taken.samples.push_back(std::move(*at));
      at = unstored_.erase(at);
    }
  }
  count();
  return taken;
}

void DurableQueue::confirmed(const std::vector<Run>& runs, bool replayed) {
  if (follower_ && !runs.empty()) follower_->confirmed(runs, replayed);
  count();
}

// Of a sample that the peer refused, until its letter is on the disk.
class DurableQueue::Elsewhere : public Receipt {
 public:
  Elsewhere(std::weak_ptr<DurableQueue> queue, rt::Loop& loop, std::uint64_t position)
      : queue_(std::move(queue)), loop_(loop), position_(position) {}
  ~Elsewhere() override {
    if (queue_.expired()) return;
    loop_.post([queue = std::move(queue_), position = position_] {
      auto self = queue.lock();
      if (!self || !self->follower_) return;
      self->follower_->confirmed({{position, position}}, false);
      self->count();
    });
  }

 private:
  std::weak_ptr<DurableQueue> queue_;
  rt::Loop& loop_;
  const std::uint64_t position_;
};

ReceiptPtr DurableQueue::receipt_of(const Sample& sample) {
  if (sample.position == 0) return sample.receipt;
  return std::make_shared<Elsewhere>(weak_from_this(), *loop_, sample.position);
}

void DurableQueue::put_back(const std::vector<Sample>& samples) {
  if (follower_ && on_disk(samples)) return follower_->put_back(runs_of(samples));
  unstored_.insert(unstored_.begin(), samples.begin(), samples.end());
}

void DurableQueue::failed() {
  if (follower_) follower_->rewind();
  // The disk came while they were under way without it.
  if (spool_ && !unstored_.empty() && !timer_->armed()) timer_->arm_in(kAppendSoon, [this] { append_unstored(); });
  count();
}

void DurableQueue::set_least(Priority least) {
  least_ = least;
  if (follower_) follower_->set_least(least);
}

void DurableQueue::stop() {
  if (stopped_) return;
  on_turn_end();
  while (spool_ && !unstored_.empty()) append_some();
  stopped_ = true;
  loop_->forget_turn_end(this);
  timer_.reset();
  for (const Sample& sample : unstored_) {
    if (sample.receipt) sample.receipt->abandon();
  }
  dropped_.fetch_add(unstored_.size(), std::memory_order_relaxed);
  unstored_.clear();
  if (follower_) follower_->keep();
  follower_.reset();
  // What is being appended is written before it is closed.
  if (std::exchange(spool_, nullptr)) {
    store_.release(name_);
  } else if (open_failed_) {
    store_.give_up(name_);
  }
  ready_ = [] {};
}

void DurableQueue::count() {
  waiting_.store(unstored_.size() + (follower_ ? follower_->backlog() : 0), std::memory_order_relaxed);
  if (follower_) replayed_.store(follower_->replayed(), std::memory_order_relaxed);
  later_.store(follower_ && follower_->later(), std::memory_order_relaxed);
  const bool disk_refuses = options_.full == spool::Full::refuse && spool_ && refused_ && !unstored_.empty();
  set_full(disk_refuses || (refuses() && unstored_.size() >= held_most()));
}

void DurableQueue::set_trouble(std::string trouble) {
  std::lock_guard lock(trouble_mutex_);
  trouble_ = std::move(trouble);
}

QueueFigures DurableQueue::figures() const {
  std::lock_guard lock(trouble_mutex_);
  return {.waiting = waiting_.load(std::memory_order_relaxed),
          .dropped = dropped_.load(std::memory_order_relaxed),
          .replayed = replayed_.load(std::memory_order_relaxed),
          .trouble = !trouble_.empty() || !later_.load(std::memory_order_relaxed)
                         ? trouble_
                         : fmt::format("the buffer {} holds samples that a later version of Penstock wrote: they stay "
                                       "there until that version runs again",
                                       name_)};
}

}  // namespace

std::shared_ptr<OutletQueue> durable_queue(std::string name, const BufferOptions& options, BufferStore& store) {
  return std::make_shared<DurableQueue>(std::move(name), options, store);
}

}  // namespace penstock::ingest
