#include "http/origin.h"

#include <map>
#include <set>

namespace penstock::http {
namespace {

// Indices in use, so that a freed one is used again and pools' tables stay short.
class Indices {
 public:
  std::size_t take() {
    std::lock_guard lock(mutex_);
    std::size_t index = 0;
    for (std::size_t used : used_) {
      if (used != index) break;
      ++index;
    }
    used_.insert(index);
    return index;
  }
  void give_back(std::size_t index) {
    std::lock_guard lock(mutex_);
    used_.erase(index);
  }
  static Indices& instance() {
    static Indices indices;
    return indices;
  }

 private:
  std::mutex mutex_;
  std::set<std::size_t> used_;
};

}  // namespace

OriginState::OriginState() : index_(Indices::instance().take()) {}
OriginState::~OriginState() { Indices::instance().give_back(index_); }

void OriginState::add_pool(std::shared_ptr<const PoolCounters> counters) {
  std::lock_guard lock(mutex_);
  pools_.push_back(std::move(counters));
}

PoolFigures OriginState::figures() const {
  PoolFigures sum;
  add_figures(sum);
  return sum;
}

void OriginState::add_figures(PoolFigures& sum) const {
  std::lock_guard lock(mutex_);
  for (const auto& pool : pools_) {
    sum.connects += pool->connects.load(std::memory_order_relaxed);
    sum.connect_failures += pool->connect_failures.load(std::memory_order_relaxed);
    sum.reused += pool->reused.load(std::memory_order_relaxed);
    sum.waits += pool->waits.load(std::memory_order_relaxed);
    sum.refusals += pool->refusals.load(std::memory_order_relaxed);
    sum.open += pool->open.load(std::memory_order_relaxed);
    sum.idle += pool->idle.load(std::memory_order_relaxed) + pool->shared_idle.load(std::memory_order_relaxed);
    sum.shared += pool->shared.load(std::memory_order_relaxed);
    sum.streams += pool->streams.load(std::memory_order_relaxed);
    sum.resets += pool->resets.load(std::memory_order_relaxed);
    sum.goaways += pool->goaways.load(std::memory_order_relaxed);
  }
}

PoolFigures figures_of(const Origin& origin) {
  PoolFigures sum = origin.state->figures();
  if (origin.for_upgrades) origin.for_upgrades->state->add_figures(sum);
  return sum;
}

std::shared_ptr<const Origin> share_origin(const std::string& identity, Origin origin) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<const Origin>> shared;
  std::lock_guard lock(mutex);
  std::erase_if(shared, [](const auto& entry) { return entry.second.expired(); });
  if (auto known = shared.find(identity); known != shared.end()) {
    if (auto alive = known->second.lock()) return alive;
  }
  auto made = std::make_shared<const Origin>(std::move(origin));
  shared[identity] = made;
  return made;
}

}  // namespace penstock::http
