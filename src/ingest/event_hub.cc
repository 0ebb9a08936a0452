#include "ingest/event_hub.h"

namespace penstock::ingest {
namespace detail {

struct SubscriberState {
  explicit SubscriberState(rt::Loop& on, EventHub::Callback told) : loop(on), callback(std::move(told)) {}

  rt::Loop& loop;
  EventHub::Callback callback;  // used and cleared on the loop only
  std::mutex mutex;             // guards the rest
  std::deque<Event> queue;
  std::uint64_t dropped = 0;
  bool posted = false;
};

namespace {

void deliver(const std::shared_ptr<SubscriberState>& state) {
  std::vector<Event> events;
  std::uint64_t dropped = 0;
  {
    std::lock_guard lock(state->mutex);
    events.assign(std::make_move_iterator(state->queue.begin()), std::make_move_iterator(state->queue.end()));
    state->queue.clear();
    dropped = std::exchange(state->dropped, 0);
    state->posted = false;
  }
  // A copy: the callback may destroy its own subscription.
  EventHub::Callback callback = state->callback;
  if (callback) callback(std::move(events), dropped);
}

}  // namespace
}  // namespace detail

Subscription::~Subscription() { state_->callback = nullptr; }

std::unique_ptr<Subscription> EventHub::subscribe(rt::Loop& loop, Callback callback) {
  auto state = std::make_shared<detail::SubscriberState>(loop, std::move(callback));
  std::lock_guard lock(mutex_);
  std::erase_if(subscribers_, [](const auto& weak) { return weak.expired(); });
  if (subscribers_.size() >= kSubscribersMax) return nullptr;
  subscribers_.push_back(state);
  watched_.store(true, std::memory_order_relaxed);
  return std::make_unique<Subscription>(std::move(state));
}

void EventHub::publish(Event event) {
  std::lock_guard lock(mutex_);
  bool gone = false;
  for (const auto& weak : subscribers_) {
    std::shared_ptr<detail::SubscriberState> state = weak.lock();
    if (!state) {
      gone = true;
      continue;
    }
    bool post = false;
    {
      std::lock_guard state_lock(state->mutex);
      if (state->queue.size() >= kQueueMax) {
        state->queue.pop_front();
        ++state->dropped;
        dropped_.fetch_add(1, std::memory_order_relaxed);
      }
      state->queue.push_back(event);
      post = !std::exchange(state->posted, true);
    }
    if (post) state->loop.post([state] { detail::deliver(state); });
  }
  if (!gone) return;
  std::erase_if(subscribers_, [](const auto& weak) { return weak.expired(); });
  watched_.store(!subscribers_.empty(), std::memory_order_relaxed);
}

}  // namespace penstock::ingest
