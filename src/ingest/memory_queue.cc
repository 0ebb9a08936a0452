#include <algorithm>
#include <deque>

#include "ingest/outlet_queue.h"

namespace penstock::ingest {
namespace {

class MemoryQueue : public OutletQueue {
 public:
  explicit MemoryQueue(const BufferOptions& options) : most_(options.memory), full_rule_(options.full) {}

  void start(rt::Loop&, std::function<void()>) override {}
  void push(const Sample& sample) override {
    if (full_rule_ == spool::Full::drop_newest && waiting_.size() >= most_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    waiting_.push_back(sample);
    shrink();
  }
  Taken take(std::size_t count, bool) override;
  void confirmed(const std::vector<Run>&, bool) override {}
  void put_back(const std::vector<Sample>& samples) override {
    waiting_.insert(waiting_.begin(), samples.begin(), samples.end());
    shrink();
  }
  void set_least(Priority least) override { least_ = least; }
  bool keeps() const override { return false; }
  bool empty() const override { return waiting_.empty(); }
  void stop() override {
    dropped_.fetch_add(waiting_.size(), std::memory_order_relaxed);
    for (const Sample& sample : waiting_) {
      if (sample.receipt) sample.receipt->abandon();
    }
    waiting_.clear();
    count();
  }
  QueueFigures figures() const override {
    return {.waiting = count_.load(std::memory_order_relaxed), .dropped = dropped_.load(std::memory_order_relaxed)};
  }

 private:
  void shrink();
  void count() {
    count_.store(waiting_.size(), std::memory_order_relaxed);
    if (full_rule_ == spool::Full::refuse) set_full(waiting_.size() >= most_);
  }

  const std::size_t most_;
  const spool::Full full_rule_;
  Priority least_ = Priority::bulk;
  std::deque<Sample> waiting_;
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

void MemoryQueue::shrink() {
  while (full_rule_ != spool::Full::refuse && waiting_.size() > most_) {
    if (full_rule_ == spool::Full::drop_newest) {
      waiting_.pop_back();
    } else {
      waiting_.pop_front();
    }
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  count();
}

OutletQueue::Taken MemoryQueue::take(std::size_t count_most, bool) {
  Taken taken;
  const auto fits = [this](const Sample& sample) { return sample.priority >= least_; };
  if (std::all_of(waiting_.begin(),
                  waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(count_most, waiting_.size())), fits)) {
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(count_most, waiting_.size()));
    taken.samples.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
  } else {
    for (auto at = waiting_.begin(); at != waiting_.end() && taken.samples.size() < count_most;) {
      if (!fits(*at)) {
        ++at;
        continue;
      }
      taken.samples.push_back(std::move(*at));
      at = waiting_.erase(at);
    }
  }
  count();
  return taken;
}

}  // namespace

std::shared_ptr<OutletQueue> memory_queue(const BufferOptions& options) {
  return std::make_shared<MemoryQueue>(options);
}

}  // namespace penstock::ingest
