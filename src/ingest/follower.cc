#include "ingest/follower.h"

#include <algorithm>
#include <cmath>

#include "ingest/sample_bytes.h"

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

// Of entries, in one reading: thousands of samples.
constexpr std::size_t kReadBytes = std::size_t{1} << 20U;
constexpr base::Duration kReadAgain = 1s;
constexpr base::Duration kKeepEvery = 5s;
// What the replay rate allows may be saved up for a twentieth of a second, so that batches form.
constexpr double kSavedSeconds = 0.05;

}  // namespace

Follower::Follower(rt::Loop& loop, std::shared_ptr<spool::Spool> spool, FollowerOptions options,
                   std::function<void()> ready)
    : loop_(loop),
      spool_(std::move(spool)),
      options_(std::move(options)),
      ready_(std::move(ready)),
      timer_(loop),
      read_timer_(loop),
      keep_timer_(loop),
      cursor_(std::max(spool_->cursor(options_.cursors.front()), options_.after)),
      newest_(spool_->stats().last_sequence),
      read_at_(cursor_) {
  for (const spool::Range& range : spool_->acknowledged_ahead(options_.cursors.front())) {
    if (range.last > cursor_) done_.add({std::max(range.first, cursor_ + 1), range.last});
  }
}

void Follower::place(Sample& sample, std::uint64_t position) const {
  sample.position = position;
  if (sample.sequence != 0 && sample.origin) return;
  sample.sequence = position;
  sample.origin = options_.origin;
}

void Follower::stored(std::uint64_t first, std::vector<Sample> samples) {
  if (samples.empty()) return;
  const std::uint64_t last = first + samples.size() - 1;
  newest_ = std::max(newest_, last);
  std::deque<Sample>& where = options_.live_first ? live_ : window_;
  const bool room = where.size() + samples.size() <= options_.memory;
  // In order, only what follows the last one read may come from memory.
  if (paused_ || !room || first <= read_at_ || (behind_ && !options_.live_first)) {
    behind_ = behind_ || last > read_at_;
    // Whoever found nothing to take has it read now: what is stored last may have nothing behind it to wake them.
    return ready_();
  }
  for (std::size_t i = 0; i < samples.size(); ++i) place(samples[i], first + i);
  hold(where, std::move(samples));
  if (!behind_) {
    done_with({read_at_ + 1, first - 1});  // numbers that were never given out
    read_at_ = last;
    advance();
  }
  ready_();
}

void Follower::hold(std::deque<Sample>& where, std::vector<Sample>&& samples) {
  const auto unwanted = [this](const Sample& sample) {
    if (wanted(sample)) return false;
    dealt_with_.add({sample.position, sample.position});
    return true;
  };
  passed_over_ = std::erase_if(samples, unwanted) > 0 || passed_over_;
  if (&where == &live_) {
    for (const Run& run : runs_of(samples)) claimed_.add(run);
  }
  std::move(samples.begin(), samples.end(), std::back_inserter(where));
}

Follower::Taken Follower::take(std::size_t count, bool backlog) {
  paused_ = false;
  if (!live_.empty()) return take_from(live_, count, live_.back().position);
  if (!backlog) return {};
  if (window_.empty()) {
    read_more();
    return {};
  }
  const bool replayed = window_.front().position <= from_disk_to_;
  if (replayed) count = allowance(std::min(count, window_.size()));
  Taken taken = take_from(window_, count, replayed ? from_disk_to_ : window_.back().position);
  taken.replayed = replayed;
  for (const Run& run : runs_of(taken.samples)) claimed_.add(run);
  if (window_.size() < options_.memory / 2) read_more();
  return taken;
}

// Those up to `last`.
Follower::Taken Follower::take_from(std::deque<Sample>& from, std::size_t count, std::uint64_t last) {
  Taken taken;
  taken.samples.reserve(std::min(count, from.size()));
  while (taken.samples.size() < count && !from.empty() && from.front().position <= last) {
    taken.samples.push_back(std::move(from.front()));
    from.pop_front();
  }
  return taken;
}

// How many of `wanted` the replay rate allows now; when none, `ready` is told when there are.
std::size_t Follower::allowance(std::size_t wanted) {
  if (options_.replay <= 0) return wanted;
  const double saved_most = std::max(1.0, options_.replay * kSavedSeconds);
  const double passed = std::chrono::duration<double>(loop_.now() - filled_at_).count();
  tokens_ = std::min(saved_most, tokens_ + options_.replay * passed);
  filled_at_ = loop_.now();
  const double needed = std::floor(std::min(static_cast<double>(wanted), saved_most));
  if (tokens_ >= needed) {
    tokens_ -= needed;
    return static_cast<std::size_t>(needed);
  }
  const std::chrono::duration<double> wait((needed - tokens_) / options_.replay);
  timer_.arm_in(std::chrono::duration_cast<base::Duration>(wait) + 1ms, [this] { ready_(); });
  return 0;
}

void Follower::read_more() {
  if (!behind_ || reading_ || read_timer_.armed()) return;
  // What needs no reading is not read: after a long replay behind live samples that may be much.
  while (true) {
    const std::uint64_t end = std::max(done_.end_of_run(read_at_ + 1), claimed_.end_of_run(read_at_ + 1));
    if (end == 0) break;
    read_at_ = end;
  }
  reading_ = true;
  spool_->read(
      read_at_, kReadBytes,
      [weak = weak_from_this(), loop = &loop_, generation = generation_](Result<spool::Spool::Entries> entries) {
        auto shared = std::make_shared<Result<spool::Spool::Entries>>(std::move(entries));
        loop->post([weak, generation, shared] {
          if (auto self = weak.lock()) self->have_read(generation, std::move(*shared));
        });
      });
}

void Follower::have_read(std::uint64_t generation, Result<spool::Spool::Entries> entries) {
  if (generation != generation_) return;
  reading_ = false;
  if (!entries) {
    read_timer_.arm_in(kReadAgain, [this] { ready_(); });
    return;
  }
  // What was stored since is told of by stored(), later; numbers up to the newest that are not there never will be.
  if (entries->empty()) {
    behind_ = false;
    done_with({read_at_ + 1, newest_});
    read_at_ = std::max(read_at_, newest_);
  }
  for (spool::Entry& entry : *entries) {
    if (entry.sequence <= read_at_) continue;
    done_with({read_at_ + 1, entry.sequence - 1});  // dropped by a bound, damaged, or never given out
    pass(entry);
  }
  advance();
  // When all is read there is nothing to take; what waits is counted anew.
  if (!window_.empty() || !behind_) return ready_();
  read_more();
}

void Follower::pass(const spool::Entry& entry) {
  read_at_ = entry.sequence;
  if (done_.contains(read_at_) || claimed_.contains(read_at_)) return;
  auto sample = sample_from_bytes(entry.bytes);
  if (!sample && sample.error().code == Errc::unimplemented) {
    later_ = true;
    return;
  }
  if (!sample) {
    ++unreadable_;
    done_with({read_at_, read_at_});
    return;
  }
  if (!wanted(*sample)) {
    dealt_with_.add({read_at_, read_at_});
    passed_over_ = true;
    return;
  }
  place(*sample, read_at_);
  window_.push_back(std::move(*sample));
  from_disk_to_ = read_at_;
}

void Follower::confirmed(const std::vector<Run>& runs, bool replayed) {
  for (const Run& run : runs) {
    done_with(run);
    if (replayed) replayed_ += run.last - run.first + 1;
  }
  advance();
  if (!done_.empty() && !keep_timer_.armed()) keep_timer_.arm_in(kKeepEvery, [this] { keep(); });
}

void Follower::done_with(Run run) {
  done_.add(run);
  if (least_ > Priority::bulk) dealt_with_.add(run);
}

void Follower::keep() {
  const auto ranges_of = [](const SequenceSet& set) {
    spool::Ranges ranges;
    for (const Run& run : set.all()) ranges.push_back({run.first, run.last});
    return ranges;
  };
  for (const std::string& cursor : options_.cursors) {
    spool_->acknowledge_ahead(cursor, ranges_of(done_));
    if (least_ == Priority::bulk) continue;
    spool_->acknowledge_from(cursor, static_cast<std::uint8_t>(least_), ranges_of(dealt_with_));
  }
}

void Follower::advance() {
  const std::uint64_t end = done_.end_of_run(cursor_ + 1);
  if (end == 0) return;
  cursor_ = end;
  // A reading that began before they were confirmed still brings them, and nothing else will tell that they are done.
  read_at_ = std::max(read_at_, cursor_);
  done_.remove_to(cursor_);
  dealt_with_.remove_to(cursor_);
  claimed_.remove_to(cursor_);
  for (const std::string& cursor : options_.cursors) spool_->acknowledge(cursor, cursor_);
}

void Follower::put_back(const std::vector<Run>& runs) {
  for (const Run& run : runs) claimed_.remove(run);
}

void Follower::rewind() {
  for (const Sample& sample : live_) claimed_.remove({sample.position, sample.position});
  live_.clear();
  window_.clear();
  read_at_ = cursor_;
  behind_ = true;
  reading_ = false;
  ++generation_;
  passed_over_ = false;
  dealt_with_ = least_ > Priority::bulk ? done_ : SequenceSet();
  paused_ = true;
}

void Follower::reopen(std::shared_ptr<spool::Spool> spool) {
  spool_ = std::move(spool);
  newest_ = std::max(newest_, spool_->stats().last_sequence);
  read_timer_.cancel();
  // What was confirmed while it was closed.
  for (const std::string& cursor : options_.cursors) spool_->acknowledge(cursor, cursor_);
  rewind();
}

void Follower::set_least(Priority least) {
  if (std::exchange(least_, least) == least) return;
  if (least > Priority::bulk || passed_over_) rewind();
}

}  // namespace penstock::ingest
