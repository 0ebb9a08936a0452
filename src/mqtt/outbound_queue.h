// Messages waiting for the broker: bounded, the oldest give way to the newest. Any thread.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::mqtt {

struct Outgoing {
  std::string topic;
  std::string payload;
  int qos = 0;
  bool retain = false;
  // MQTT 5 only; left out below.
  std::string content_type = {};
  std::vector<std::pair<std::string, std::string>> properties = {};  // the user's
  std::chrono::seconds good_for{0};  // how long the broker keeps it for whoever is away; 0: for ever
  bool operator==(const Outgoing&) const = default;
};

class OutboundQueue {
 public:
  explicit OutboundQueue(std::size_t messages_max) : messages_max_(messages_max) {}

  // False when the oldest message was dropped to make room.
  bool push(Outgoing message) {
    std::lock_guard lock(mutex_);
    const bool full = messages_.size() >= messages_max_;
    if (full) messages_.pop_front();
    messages_.push_back(std::move(message));
    return !full;
  }

  std::optional<Outgoing> pop() {
    std::lock_guard lock(mutex_);
    if (messages_.empty()) return std::nullopt;
    std::optional<Outgoing> message(std::move(messages_.front()));
    messages_.pop_front();
    return message;
  }

  // Puts back what pop() gave, as the oldest. False when newer messages have taken its place meanwhile.
  bool put_back(Outgoing message) {
    std::lock_guard lock(mutex_);
    if (messages_.size() >= messages_max_) return false;
    messages_.push_front(std::move(message));
    return true;
  }

  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return messages_.size();
  }

 private:
  const std::size_t messages_max_;
  mutable std::mutex mutex_;
  std::deque<Outgoing> messages_;
};

}  // namespace penstock::mqtt
