// State per device with a bound: the device heard of longest ago makes room for a new one.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace penstock::ingest {

// Devices (or tag values) one step keeps state for.
constexpr std::size_t kDevicesPerStepMax = 10'000;

template <class State>
class DeviceTable {
 public:
  struct Entry {
    std::string device;
    State state;
  };

  explicit DeviceTable(std::size_t most = kDevicesPerStepMax) : most_(most) {}

  // The state of `device`, made when new. Before a full table forgets its oldest device, `forget` is called with it.
  template <class Forget>
  State& at(const std::string& device, Forget&& forget) {
    // Samples of one device tend to come together.
    if (!order_.empty() && order_.front().device == device) return order_.front().state;
    auto found = index_.find(device);
    if (found != index_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return order_.front().state;
    }
    if (order_.size() >= most_) {
      forget(order_.back());
      index_.erase(order_.back().device);
      order_.pop_back();
    }
    order_.push_front({device, State()});
    index_.emplace(order_.front().device, order_.begin());
    return order_.front().state;
  }
  State& at(const std::string& device) {
    return at(device, [](Entry&) {});
  }

  // Takes over the states of another table, as many as there is room for, the newest first. The other is empty then but
  // for what had no room. For a table that has none yet.
  void adopt(DeviceTable& other) {
    std::size_t skip = other.order_.size() - std::min(other.order_.size(), most_);
    std::size_t count = other.order_.size() - skip;
    for (; count > 0; --count) {
      Entry& entry = *std::prev(other.order_.end(), static_cast<std::ptrdiff_t>(skip) + 1);
      at(entry.device) = std::move(entry.state);
      other.index_.erase(entry.device);
      other.order_.erase(std::prev(other.order_.end(), static_cast<std::ptrdiff_t>(skip) + 1));
    }
  }

  // Newest first.
  std::list<Entry>& entries() { return order_; }
  std::size_t size() const { return order_.size(); }

 private:
  std::size_t most_;
  std::list<Entry> order_;
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> index_;
};

}  // namespace penstock::ingest
