#include "ingest/outlet.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kBackoffLeast = 500ms;
constexpr base::Duration kBackoffMost = 30s;

void abandon(const Sample& sample) {
  if (sample.receipt) sample.receipt->abandon();
}

}  // namespace

Outlet::Outlet(std::string kind, std::unique_ptr<Sink> sink)
    : kind_(std::move(kind)), sink_(std::move(sink)), backoff_(kBackoffLeast, kBackoffMost) {}

Outlet::~Outlet() = default;

Result<void> Outlet::start(rt::Loop& loop) {
  loop_ = &loop;
  timer_ = std::make_unique<rt::Timer>(loop);
  flush_timer_ = std::make_unique<rt::Timer>(loop);
  running_ = true;
  return sink_->start(loop);
}

void Outlet::deliver(const Sample& sample) {
  if (!running_ || stopped_) return;
  waiting_.push_back(sample);
  if (waiting_.size() > kWaitingMax) {
    waiting_.pop_front();
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  pump();
}

// A loop, because an answer may come during the call that asks for it.
void Outlet::pump() {
  if (pumping_) return;
  pumping_ = true;
  while (running_ && !waiting_.empty() && !timer_->armed() && under_way_.size() < sink_->in_flight_max()) send_next();
  pumping_ = false;
  waiting_count_.store(waiting_.size(), std::memory_order_relaxed);
  if (stopped_ && waiting_.empty() && under_way_.empty()) finish();
}

void Outlet::send_next() {
  const std::size_t count = std::min(waiting_.size(), std::max<std::size_t>(1, sink_->batch_max()));
  auto batch = std::make_shared<std::vector<Sample>>();
  batch->reserve(count);
  std::move(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count), std::back_inserter(*batch));
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  const std::uint64_t number = next_number_++;
  under_way_.emplace_back(number, batch);
  sink_->send(std::move(batch), [weak = weak_from_this(), number](Sent sent) {
    if (auto self = weak.lock()) self->answered(number, sent);
  });
}

void Outlet::answered(std::uint64_t number, const Sent& sent) {
  auto found = std::find_if(under_way_.begin(), under_way_.end(), [&](const auto& one) { return one.first == number; });
  if (found == under_way_.end()) return;
  {
    std::lock_guard lock(detail_mutex_);
    trouble_ = sent.why;
  }
  if (sent.outcome == Sent::Outcome::again) {
    retry_later(number);
  } else {
    refuse(found->second, sent);
    under_way_.erase(found);
    backoff_.reset();
  }
  pump();
}

// What failed and all that was sent behind it goes back, so that the order is kept.
void Outlet::retry_later(std::uint64_t from) {
  retries_.fetch_add(1, std::memory_order_relaxed);
  while (!under_way_.empty() && under_way_.back().first >= from) {
    const Batch batch = std::move(under_way_.back().second);
    under_way_.pop_back();
    waiting_.insert(waiting_.begin(), batch->begin(), batch->end());
  }
  while (waiting_.size() > kWaitingMax) {
    waiting_.pop_front();
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  if (stopped_) return finish();
  timer_->arm_in(backoff_.next(), [this] { pump(); });
}

void Outlet::refuse(const Batch& batch, const Sent& sent) {
  const auto tell = [&](const Sample& sample) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    if (refused_) refused_(sample, sent.why);
  };
  if (sent.outcome == Sent::Outcome::refused) {
    std::for_each(batch->begin(), batch->end(), tell);
  } else {
    for (std::size_t position : sent.rejected) {
      if (position < batch->size()) tell((*batch)[position]);
    }
  }
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
  dropped_.fetch_add(waiting_.size(), std::memory_order_relaxed);
  for (const auto& [number, batch] : under_way_) {
    dropped_.fetch_add(batch->size(), std::memory_order_relaxed);
    std::for_each(batch->begin(), batch->end(), abandon);
  }
  std::for_each(waiting_.begin(), waiting_.end(), abandon);
  waiting_.clear();
  under_way_.clear();
  auto done = std::exchange(stopped_, {});
  if (done) done();
}

OutletStatus Outlet::status() const {
  OutletStatus result{.kind = kind_, .status = sink_->status()};
  result.status.dropped += dropped_.load(std::memory_order_relaxed);
  result.waiting = waiting_count_.load(std::memory_order_relaxed);
  result.retries = retries_.load(std::memory_order_relaxed);
  std::lock_guard lock(detail_mutex_);
  if (!trouble_.empty()) result.status.detail = trouble_;
  return result;
}

}  // namespace penstock::ingest
