// What pipelines remember over a restart, in <data_dir>/lane.db.
#pragma once

#include "ingest/contracts.h"
#include "store/lane_state.h"

namespace penstock::app {

class LaneMemory : public ingest::StatePort {
 public:
  explicit LaneMemory(store::LaneState& state) : state_(state) {}
  std::optional<std::string> get(const std::string& key) const override { return state_.get(key); }
  void put(std::string key, std::string value, Kept kept = {}) override {
    state_.put(std::move(key), std::move(value), std::move(kept));
  }
  void erase(const std::string& key) override { state_.erase(key); }
  std::vector<std::pair<std::string, std::string>> entries(const std::string& prefix) const override {
    return state_.entries(prefix);
  }

 private:
  store::LaneState& state_;
};

}  // namespace penstock::app
