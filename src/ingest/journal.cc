#include "ingest/journal.h"

#include <algorithm>

#include "ingest/follower.h"
#include "ingest/sample_bytes.h"

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

// What every pipeline is done with.
constexpr std::string_view kAllCursor = "all";
constexpr std::size_t kOfferMax = 256;
constexpr base::Duration kOfferAgain = 10ms;

std::string cursor_of(const std::string& pipeline) { return "pipeline." + pipeline; }

}  // namespace

// Offers the journal's samples to one pipeline. On the pipeline's loop.
class JournalReader : public std::enable_shared_from_this<JournalReader> {
 public:
  JournalReader(std::weak_ptr<Journal> journal, JournalTarget target)
      : journal_(std::move(journal)), target_(std::move(target)), timer_(*target_.loop) {}
  rt::Loop& loop() const { return *target_.loop; }

  // What the pipeline before still has settles as before, or is abandoned and offered to this one.
  void switch_to(std::shared_ptr<Pipeline> pipeline) {
    target_.pipeline = std::move(pipeline);
    pump();
  }
  void start(std::shared_ptr<spool::Spool> spool) {
    FollowerOptions options;
    options.cursors = {cursor_of(target_.pipeline->name())};
    options.after = spool->cursor(std::string(kAllCursor));
    follower_ = std::make_shared<Follower>(*target_.loop, std::move(spool), std::move(options), [this] { pump(); });
    // One that has nothing left to read holds the others' samples no longer than they need them.
    if (auto journal = journal_.lock()) journal->moved(target_.pipeline->name(), follower_->cursor());
    pump();
  }
  void stored(std::uint64_t first, std::vector<Sample> samples) {
    if (follower_) follower_->stored(first, std::move(samples));
  }
  void settled(Run run, bool abandoned);
  void stop() {
    timer_.cancel();
    follower_.reset();
    held_.clear();
  }

 private:
  class Settling;
  void pump();

  const std::weak_ptr<Journal> journal_;
  JournalTarget target_;
  rt::Timer timer_;  // armed while the pipeline is full
  std::shared_ptr<Follower> follower_;
  std::vector<Sample> held_;  // what it refused
  bool pumping_ = false;
};

class JournalReader::Settling : public Receipt {
 public:
  Settling(const std::shared_ptr<JournalReader>& reader, Run run) : loop_(reader->loop()), reader_(reader), run_(run) {}
  ~Settling() override {
    if (reader_.expired()) return;
    loop_.post([reader = std::move(reader_), run = run_, abandoned = abandoned()] {
      if (auto self = reader.lock()) self->settled(run, abandoned);
    });
  }

 private:
  rt::Loop& loop_;
  std::weak_ptr<JournalReader> reader_;
  const Run run_;
};

void JournalReader::pump() {
  if (pumping_ || timer_.armed()) return;
  pumping_ = true;
  while (follower_) {
    if (held_.empty()) {
      held_ = follower_->take(kOfferMax).samples;
      if (held_.empty()) break;
      // Numbers between that are not there are done with too: the journal is read in order.
      auto receipt = std::make_shared<Settling>(shared_from_this(), Run{held_.front().sequence, held_.back().sequence});
      for (Sample& sample : held_) {
        sample.receipt = receipt;
        sample.sequence = 0;
      }
    }
    if (!target_.pipeline->take(held_)) {
      timer_.arm_in(kOfferAgain, [this] { pump(); });
      break;
    }
    held_.clear();
  }
  pumping_ = false;
}

void JournalReader::settled(Run run, bool abandoned) {
  if (!follower_) return;
  if (abandoned) {
    follower_->put_back({run});
    follower_->rewind();
    // What waits behind it is read again behind it: clearing tells the same of its receipt.
    for (const Sample& sample : held_) sample.receipt->abandon();
    held_.clear();
    return pump();
  }
  const std::uint64_t before = follower_->cursor();
  follower_->confirmed({run}, false);
  if (follower_->cursor() == before) return;
  if (auto journal = journal_.lock()) journal->moved(target_.pipeline->name(), follower_->cursor());
}

Journal::Journal(const std::string& source, BufferOptions options, BufferStore& store)
    : name_("journals/" + source), options_(std::move(options)), store_(store) {}

void Journal::set_targets(const std::vector<JournalTarget>& targets) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  std::map<std::string, std::shared_ptr<JournalReader>> before;
  before.swap(readers_);
  std::vector<std::string> cursors{std::string(kAllCursor)};
  for (const JournalTarget& target : targets) {
    const std::string& name = target.pipeline->name();
    cursors.push_back(cursor_of(name));
    if (auto known = before.extract(name)) {
      known.mapped()->loop().post(
          [reader = known.mapped(), pipeline = target.pipeline] { reader->switch_to(pipeline); });
      readers_.insert(std::move(known));
      continue;
    }
    auto reader = std::make_shared<JournalReader>(weak_from_this(), target);
    readers_[name] = reader;
    done_to_[name] = 0;
    if (spool_) target.loop->post([reader, spool = spool_] { reader->start(spool); });
  }
  for (const auto& [name, reader] : before) {
    done_to_.erase(name);
    reader->loop().post([reader] { reader->stop(); });
  }
  if (!before.empty()) release_done();
  if (std::exchange(asked_, true)) return;
  cursors_ = cursors;
  open(std::move(cursors));
}

void Journal::open(std::vector<std::string> cursors) {
  store_.acquire(
      name_, options_, std::move(cursors),
      [self = shared_from_this()](Result<std::shared_ptr<spool::Spool>> spool) { self->opened(std::move(spool)); });
}

void Journal::opened(Result<std::shared_ptr<spool::Spool>> spool) {
  std::vector<Held> held;
  bool taken = false;
  bool gone = false;
  {
    std::lock_guard lock(mutex_);
    held.swap(held_);
    held_samples_ = 0;
    failed_ = !spool;
    taken = spool && !closed_;
    gone = failed_ && closed_;
    if (taken) {
      spool_ = *spool;
      for (const auto& [name, reader] : readers_) {
        reader->loop().post([reader, opened = *spool] { reader->start(opened); });
      }
    }
  }
  if (spool && !taken) store_.release(name_);
  if (gone) store_.give_up(name_);
  for (Held& one : held) {
    if (taken) {
      write(*spool, std::move(one));
    } else {
      one.stored(false);
    }
  }
}

void Journal::append(std::vector<Sample> samples, Emit::Stored stored) {
  std::shared_ptr<spool::Spool> spool;
  {
    std::lock_guard lock(mutex_);
    spool = spool_;
    const bool opening = !spool_ && !failed_ && !closed_;
    if (opening && held_samples_ + samples.size() <= kHeldMax) {
      held_samples_ += samples.size();
      held_.push_back({std::move(samples), std::move(stored)});
      return;
    }
    if (failed_ && !closed_) {
      failed_ = false;
      open(cursors_);
    }
  }
  if (!spool) return stored(false);
  write(spool, {std::move(samples), std::move(stored)});
}

void Journal::write(const std::shared_ptr<spool::Spool>& spool, Held held) {
  spool::Spool::Entries entries(held.samples.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    append_bytes(entries[i].bytes, held.samples[i]);
    entries[i].time = held.samples[i].ingest_time;
    entries[i].priority = static_cast<std::uint8_t>(held.samples[i].priority);
  }
  auto shared = std::make_shared<Held>(std::move(held));
  spool->append(std::move(entries), [weak = weak_from_this(), shared](const Result<std::uint64_t>& first) {
    shared->stored(first.has_value());
    auto self = weak.lock();
    if (self && first && *first > 0) self->stored(*first, shared->samples);
  });
}

// On the journal's thread, so in the order of the sequence.
void Journal::stored(std::uint64_t first, const std::vector<Sample>& samples) {
  std::lock_guard lock(mutex_);
  for (const auto& [name, reader] : readers_) {
    reader->loop().post([reader, first, samples]() mutable { reader->stored(first, std::move(samples)); });
  }
  if (readers_.empty()) release_to(first + samples.size() - 1);
}

void Journal::moved(const std::string& reader, std::uint64_t cursor) {
  std::lock_guard lock(mutex_);
  auto found = done_to_.find(reader);
  if (found == done_to_.end()) return;
  found->second = cursor;
  release_done();
}

// With mutex_ held.
void Journal::release_done() {
  std::uint64_t all = UINT64_MAX;
  for (const auto& [name, done_to] : done_to_) all = std::min(all, done_to);
  if (!done_to_.empty()) release_to(all);
}

// With mutex_ held. Cursors of pipelines that no longer read hold nothing back.
void Journal::release_to(std::uint64_t cursor) {
  if (!spool_ || cursor == 0) return;
  for (const std::string& name : cursors_) {
    const bool read = name != kAllCursor && std::any_of(readers_.begin(), readers_.end(),
                                                        [&](const auto& one) { return cursor_of(one.first) == name; });
    if (!read) spool_->acknowledge(name, cursor);
  }
}

void Journal::close() {
  std::lock_guard lock(mutex_);
  if (std::exchange(closed_, true)) return;
  for (const auto& [name, reader] : readers_) {
    reader->loop().post([reader] { reader->stop(); });
  }
  readers_.clear();
  if (std::exchange(spool_, nullptr)) {
    store_.release(name_);
  } else if (failed_) {
    store_.give_up(name_);
  }
}

}  // namespace penstock::ingest
