// Turns request events into usage rows: summed per key, model and target over at most 100 ms, written in one
// transaction, so that the database costs the same at ten and at fifty thousand requests per second.
#pragma once

#include <map>
#include <tuple>

#include "obs/event.h"
#include "store/state.h"

namespace penstock::app {

// On the observer thread only.
class UsageWriter {
 public:
  explicit UsageWriter(store::State state, const base::Clock& clock = base::system_clock())
      : state_(std::move(state)), clock_(clock) {}
  // What is gathered is kept and tried again while the disk refuses it.
  void take(const std::vector<obs::RequestEvent>& events);
  // Writes what is gathered now.
  void flush();

 private:
  using Key = std::tuple<const char*, const char*, const char*, const char*>;
  store::State state_;
  const base::Clock& clock_;
  std::map<Key, store::UsageRow> sums_;
  base::SteadyTime oldest_{};
  base::SteadyTime complained_{};
};

}  // namespace penstock::app
