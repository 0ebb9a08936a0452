#include "ingest/outlet.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kBackoffLeast = 500ms;
constexpr base::Duration kBackoffMost = 30s;

std::shared_ptr<OutletQueue> make_queue(const OutletOptions& options) {
  if (options.buffer.durable() && options.store != nullptr) {
    return durable_queue(options.name, options.buffer, *options.store);
  }
  return memory_queue(options.buffer);
}

}  // namespace

Outlet::Outlet(std::string kind, std::unique_ptr<Sink> sink, OutletOptions options)
    : kind_(std::move(kind)),
      buffer_name_(options.buffer.durable() ? options.name : ""),
      sink_(std::move(sink)),
      queue_(make_queue(options)),
      backoff_(kBackoffLeast, kBackoffMost) {}

Outlet::~Outlet() = default;

Result<void> Outlet::start(rt::Loop& loop) {
  timer_ = std::make_unique<rt::Timer>(loop);
  flush_timer_ = std::make_unique<rt::Timer>(loop);
  running_ = true;
  const auto wake = [weak = weak_from_this()](bool at_once) {
    auto self = weak.lock();
    if (!self || !self->running_) return;
    if (at_once) self->timer_->cancel();
    self->pump();
  };
  sink_->on_ready([wake] { wake(true); });
  auto started = sink_->start(loop);
  queue_->start(loop, [wake] { wake(false); });
  return started;
}

void Outlet::deliver(const Sample& sample) {
  if (!running_ || stopped_) return;
  queue_->push(sample);
  pump();
}

// A loop, because an answer may come during the call that asks for it.
void Outlet::pump() {
  if (pumping_) return;
  pumping_ = true;
  while (running_ && !timer_->armed() && !(stopped_ && queue_->keeps()) && send_next()) {
  }
  pumping_ = false;
  if (stopped_ && under_way_.empty() && (queue_->keeps() || queue_->empty())) finish();
}

// False: nothing to send now.
bool Outlet::send_next() {
  if (!under_way_.empty() && under_way_.front().waits) {
    send(under_way_.front());
    return true;
  }
  if (under_way_.size() >= sink_->in_flight_max()) return false;
  queue_->set_least(sink_->least());
  // The backlog never takes all of the ways there are: a live sample finds one free.
  const bool backlog = replaying_ < std::max<std::size_t>(1, sink_->in_flight_max() / 2);
  OutletQueue::Taken taken = queue_->take(std::max<std::size_t>(1, sink_->batch_max()), backlog);
  if (taken.samples.empty()) return false;
  auto batch = std::make_shared<const std::vector<Sample>>(std::move(taken.samples));
  under_way_.push_back({0, std::move(batch), taken.replayed});
  if (taken.replayed) ++replaying_;
  send(under_way_.back());
  return true;
}

void Outlet::send(UnderWay& one) {
  const std::uint64_t number = one.number = next_number_++;
  one.waits = false;
  sink_->send(one.batch, [weak = weak_from_this(), number](Sent sent) {
    if (auto self = weak.lock()) self->answered(number, sent);
  });
}

// True: what is left of the batch stands for it now. False: it goes back, because the outlet stops or part of it waits.
bool Outlet::keep_rest(UnderWay& one, std::size_t taken) {
  const auto from = one.batch->begin() + static_cast<std::ptrdiff_t>(taken);
  Batch rest = taken == 0 ? one.batch : std::make_shared<const std::vector<Sample>>(from, one.batch->end());
  const auto waits = [least = sink_->least()](const Sample& sample) { return sample.priority < least; };
  if ((stopped_ && queue_->keeps()) || std::any_of(rest->begin(), rest->end(), waits)) {
    queue_->put_back(*rest);
    queue_->failed();
    return false;
  }
  one.batch = std::move(rest);
  one.waits = true;
  return true;
}

void Outlet::answered(std::uint64_t number, const Sent& sent) {
  auto found =
      std::find_if(under_way_.begin(), under_way_.end(), [&](const auto& one) { return one.number == number; });
  if (found == under_way_.end()) return;
  {
    std::lock_guard lock(detail_mutex_);
    trouble_ = sent.why;
  }
  if (sent.outcome == Sent::Outcome::again) {
    retry_later(number);
  } else {
    const std::size_t all = found->batch->size();
    const std::size_t count = std::min(sent.taken.value_or(all), all);
    taken(*found, sent, count);
    if (count == all || !keep_rest(*found, count)) {
      if (found->replayed) --replaying_;
      under_way_.erase(found);
    }
    if (count > 0) backoff_.reset();
  }
  pump();
}

// What failed and all that was sent behind it goes back, so that the order is kept.
void Outlet::retry_later(std::uint64_t from) {
  retries_.fetch_add(1, std::memory_order_relaxed);
  while (!under_way_.empty() && under_way_.back().number >= from) {
    const UnderWay last = std::move(under_way_.back());
    under_way_.pop_back();
    if (last.replayed) --replaying_;
    queue_->put_back(*last.batch);
  }
  queue_->failed();
  if (stopped_) return finish();
  timer_->arm_in(backoff_.next(), [this] { pump(); });
}

// Of the first `count`. What the peer refused for good is confirmed by whoever keeps it.
void Outlet::taken(const UnderWay& sent, const Sent& answer, std::size_t count) {
  const std::vector<Sample>& batch = *sent.batch;
  if (count == batch.size() && answer.outcome == Sent::Outcome::confirmed && answer.rejected.empty()) {
    return queue_->confirmed(runs_of(batch), sent.replayed);
  }
  std::vector<bool> refused(count, answer.outcome == Sent::Outcome::refused);
  for (const std::size_t at : answer.rejected) {
    if (at < refused.size()) refused[at] = true;
  }
  std::vector<Run> confirmed;
  for (std::size_t i = 0; i < count; ++i) {
    if (!refused[i]) {
      if (batch[i].position != 0) confirmed.push_back({batch[i].position, batch[i].position});
      continue;
    }
    dropped_.fetch_add(1, std::memory_order_relaxed);
    Sample letter = batch[i];
    letter.receipt = queue_->receipt_of(batch[i]);
    if (refused_) refused_(letter, answer.why);
  }
  queue_->confirmed(confirmed, sent.replayed);
}

void Outlet::stop(std::function<void()> done) {
  if (!running_ || stopped_) return done();
  stopped_ = std::move(done);
  // While the peer is out of reach nothing is waited for.
  if (timer_->armed()) return finish();
  flush_timer_->arm_in(kFlushWithin, [this] { finish(); });
  pump();
}

void Outlet::finish() {
  if (!running_) return;
  const auto self = shared_from_this();
  running_ = false;
  timer_.reset();
  flush_timer_.reset();
  sink_->stop();
  while (!under_way_.empty()) {
    queue_->put_back(*under_way_.back().batch);
    under_way_.pop_back();
  }
  queue_->stop();
  auto done = std::exchange(stopped_, {});
  if (done) done();
}

OutletStatus Outlet::status() const {
  OutletStatus result{.kind = kind_, .status = sink_->status(), .buffer = buffer_name_};
  const QueueFigures figures = queue_->figures();
  result.status.dropped += dropped_.load(std::memory_order_relaxed) + figures.dropped;
  result.waiting = figures.waiting;
  result.replayed = figures.replayed;
  result.retries = retries_.load(std::memory_order_relaxed);
  std::lock_guard lock(detail_mutex_);
  if (!trouble_.empty()) result.status.detail = trouble_;
  if (!figures.trouble.empty()) result.status.detail = figures.trouble;
  return result;
}

}  // namespace penstock::ingest
