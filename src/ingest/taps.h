// Where one can look into a pipeline: a hub at its input and behind every step.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "ingest/event_hub.h"

namespace penstock::ingest {

// By place: "0" is the input, "3" what comes out of step 3, "3.1.0" the input of the first branch of step 3. Any
// thread. Outlives reloads of the pipeline, so that who watches a place goes on watching it.
class Taps {
 public:
  // Made when there is none.
  std::shared_ptr<EventHub> at(const std::string& place) {
    std::lock_guard lock(mutex_);
    std::shared_ptr<EventHub>& hub = hubs_[place];
    if (!hub) hub = std::make_shared<EventHub>();
    return hub;
  }
  // Null when there is none.
  std::shared_ptr<EventHub> find(const std::string& place) const {
    std::lock_guard lock(mutex_);
    auto found = hubs_.find(place);
    return found == hubs_.end() ? nullptr : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<EventHub>> hubs_;
};

}  // namespace penstock::ingest
