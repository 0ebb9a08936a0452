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
// A receipt covers at least this part of what was under way when it was begun: there are 64 and then as many more as it
// takes to grow by a 64th each time, 1,500 for a disk full of samples.
constexpr std::uint64_t kReceiptShare = 64;

std::string cursor_of(const std::string& pipeline) { return "pipeline." + pipeline; }

}  // namespace

// Offers the journal's samples to one pipeline. On the pipeline's loop.
class JournalReader : public std::enable_shared_from_this<JournalReader> {
 public:
  JournalReader(std::weak_ptr<Journal> journal, std::string source, JournalTarget target)
      : journal_(std::move(journal)), source_(std::move(source)), target_(std::move(target)), timer_(*target_.loop) {}
  rt::Loop& loop() const { return *target_.loop; }

  // What the pipeline before still has settles as before, or is abandoned and offered to this one.
  void switch_to(std::shared_ptr<Pipeline> pipeline) {
    target_.pipeline = std::move(pipeline);
    pump();
  }
  // The same log again goes on where the last one was.
  void start(std::shared_ptr<spool::Spool> spool);
  void stored(std::uint64_t first, std::vector<Sample> samples) {
    if (follower_) follower_->stored(first, std::move(samples));
  }
  void settled(const std::vector<Run>& runs, bool abandoned);
  void stop() {
    timer_.cancel();
    follower_.reset();
    held_.clear();
  }

 private:
  class Settling;
  void pump();
  ReceiptPtr receipt_for(const std::vector<Sample>& samples);

  const std::weak_ptr<Journal> journal_;
  const std::string source_;
  JournalTarget target_;
  rt::Timer timer_;  // armed while the pipeline is full
  std::shared_ptr<Follower> follower_;
  std::vector<Sample> held_;        // what it refused
  std::weak_ptr<Settling> newest_;  // the last receipt that was begun
  std::uint64_t unsettled_ = 0;     // samples
  bool pumping_ = false;
};

// Covers more while somebody holds it, on the loop; destroyed on any thread, by who lets go of it last.
class JournalReader::Settling : public Receipt {
 public:
  explicit Settling(const std::shared_ptr<JournalReader>& reader) : loop_(reader->loop()), reader_(reader) {}
  ~Settling() override {
    if (reader_.expired()) return;
    loop_.post([reader = std::move(reader_), runs = std::move(runs_), abandoned = abandoned()] {
      if (auto self = reader.lock()) self->settled(runs, abandoned);
    });
  }
  void cover(const std::vector<Sample>& samples) {
    samples_ += samples.size();
    for (const Run& run : runs_of(samples)) {
      if (!runs_.empty() && runs_.back().last + 1 == run.first) {
        runs_.back().last = run.last;
      } else {
        runs_.push_back(run);
      }
    }
  }
  std::uint64_t samples() const { return samples_; }

 private:
  rt::Loop& loop_;
  std::weak_ptr<JournalReader> reader_;
  std::vector<Run> runs_;
  std::uint64_t samples_ = 0;
};

void JournalReader::start(std::shared_ptr<spool::Spool> spool) {
  if (follower_) {
    follower_->reopen(std::move(spool));
    return pump();
  }
  FollowerOptions options;
  options.cursors = {cursor_of(target_.pipeline->name())};
  options.after = spool->cursor(std::string(kAllCursor));
  options.origin = std::make_shared<const std::string>(fmt::format("{}/{}", source_, spool->identity()));
  follower_ = std::make_shared<Follower>(*target_.loop, std::move(spool), std::move(options), [this] { pump(); });
  // One that has nothing left to read holds the others' samples no longer than they need them.
  if (auto journal = journal_.lock()) journal->moved(target_.pipeline->name(), follower_->cursor());
  pump();
}

ReceiptPtr JournalReader::receipt_for(const std::vector<Sample>& samples) {
  std::shared_ptr<Settling> receipt = newest_.lock();
  // What is under way without it.
  const std::uint64_t before = receipt ? unsettled_ - receipt->samples() : 0;
  if (!receipt || receipt->abandoned() || receipt->samples() * kReceiptShare >= before) {
    receipt = std::make_shared<Settling>(shared_from_this());
    newest_ = receipt;
  }
  receipt->cover(samples);
  unsettled_ += samples.size();
  return receipt;
}

void JournalReader::pump() {
  if (pumping_ || timer_.armed()) return;
  pumping_ = true;
  while (follower_) {
    if (held_.empty()) {
      held_ = follower_->take(kOfferMax).samples;
      if (held_.empty()) break;
      const ReceiptPtr receipt = receipt_for(held_);
      for (Sample& sample : held_) {
        sample.receipt = receipt;
        sample.position = 0;
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

void JournalReader::settled(const std::vector<Run>& runs, bool abandoned) {
  if (!follower_) return;
  for (const Run& run : runs) unsettled_ -= run.last - run.first + 1;
  if (abandoned) {
    follower_->put_back(runs);
    follower_->rewind();
    // What waits behind it is read again behind it: clearing tells the same of its receipt.
    for (const Sample& sample : held_) sample.receipt->abandon();
    held_.clear();
    return pump();
  }
  const std::uint64_t before = follower_->cursor();
  follower_->confirmed(runs, false);
  if (follower_->cursor() == before) return;
  if (auto journal = journal_.lock()) journal->moved(target_.pipeline->name(), follower_->cursor());
}

Journal::Journal(const std::string& source, BufferOptions options, BufferStore& store)
    : name_("journals/" + source), store_(store), options_(std::move(options)) {}

void Journal::set_targets(const std::vector<JournalTarget>& targets) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  std::map<std::string, std::shared_ptr<JournalReader>> before;
  before.swap(readers_);
  for (const JournalTarget& target : targets) {
    const std::string& name = target.pipeline->name();
    if (auto known = before.extract(name)) {
      known.mapped()->loop().post(
          [reader = known.mapped(), pipeline = target.pipeline] { reader->switch_to(pipeline); });
      readers_.insert(std::move(known));
      continue;
    }
    auto reader = std::make_shared<JournalReader>(weak_from_this(), name_.substr(name_.find('/') + 1), target);
    readers_[name] = reader;
    done_to_[name] = 0;
    if (spool_) target.loop->post([reader, spool = spool_] { reader->start(spool); });
  }
  for (const auto& [name, reader] : before) {
    done_to_.erase(name);
    reader->loop().post([reader] { reader->stop(); });
  }
  if (!before.empty()) release_done();
  if (!spool_ && !opening_ && !failed_) open();
}

void Journal::change(BufferOptions options) {
  std::lock_guard lock(mutex_);
  if (closed_ || options.written == options_.written) return;
  options_ = std::move(options);
  outdated_ = opening_;
  if (opening_) return;
  if (std::exchange(spool_, nullptr)) store_.release(name_);
  failed_ = false;
  open();
}

// With mutex_ held.
void Journal::open() {
  opening_ = true;
  cursors_ = {std::string(kAllCursor)};
  for (const auto& [name, reader] : readers_) cursors_.push_back(cursor_of(name));
  store_.acquire(name_, options_, cursors_, [self = shared_from_this()](Result<std::shared_ptr<spool::Spool>> spool) {
    self->opened(std::move(spool));
  });
}

void Journal::opened(Result<std::shared_ptr<spool::Spool>> spool) {
  std::vector<Held> held;
  bool taken = false;
  bool gone = false;
  {
    std::lock_guard lock(mutex_);
    opening_ = false;
    if (std::exchange(outdated_, false) && !closed_) {
      if (spool) store_.release(name_);
      return open();
    }
    held.swap(held_);
    held_samples_ = 0;
    failed_ = !spool;
    taken = spool && !closed_;
    gone = failed_ && closed_;
    if (taken) {
      // Before anybody else's, who come with newer ones.
      for (Held& one : held) write(*spool, std::move(one));
      held.clear();
      spool_ = *spool;
      for (const auto& [name, reader] : readers_) {
        reader->loop().post([reader, opened = *spool] { reader->start(opened); });
      }
      release_done();
    }
  }
  if (spool && !taken) store_.release(name_);
  if (gone) store_.give_up(name_);
  for (Held& one : held) one.stored(false);
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
      open();
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
