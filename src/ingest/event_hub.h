// What happens in one pipeline, to whoever is watching: GET /pipelines/{name}/events and the console.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rt/loop.h"

namespace penstock::ingest {

struct Event {
  enum class Kind : std::uint8_t { sample, alarm };
  Kind kind = Kind::sample;
  std::shared_ptr<const std::string> json;
};

namespace detail {
struct SubscriberState;
}

// Destroy it on the loop it was made for; after that the callback is not called again.
class Subscription {
 public:
  explicit Subscription(std::shared_ptr<detail::SubscriberState> state) : state_(std::move(state)) {}
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

 private:
  std::shared_ptr<detail::SubscriberState> state_;
};

// Any thread may call anything. A pipeline's hub outlives reloads of the pipeline.
class EventHub {
 public:
  // Events waiting for one subscriber. When full the oldest is dropped and counted.
  static constexpr std::size_t kQueueMax = 256;
  static constexpr std::size_t kSubscribersMax = 64;

  // Called on `loop` with what gathered since the last call; `dropped` counts events lost since then.
  using Callback = std::function<void(std::vector<Event> events, std::uint64_t dropped)>;

  // Null when there are kSubscribersMax already.
  std::unique_ptr<Subscription> subscribe(rt::Loop& loop, Callback callback);
  // Cheap: ask before making the JSON.
  bool watched() const { return watched_.load(std::memory_order_relaxed); }
  void publish(Event event);
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<detail::SubscriberState>> subscribers_;
  std::atomic<bool> watched_{false};
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace penstock::ingest
