// Traffic that sends everything to the highest version; tests override what they are about.
#pragma once

#include "infer/traffic.h"

namespace penstock::infer {

struct FakeTraffic : Traffic {
  Choice choose(std::string_view, std::span<const std::int64_t> ready) override { return {.version = ready.back()}; }
  std::int64_t usual(std::span<const std::int64_t> ready) const override { return ready.back(); }
  std::optional<std::int64_t> labelled(std::string_view) const override { return std::nullopt; }
  std::vector<std::int64_t> wanted() const override { return {}; }
  std::vector<std::int64_t> trials() const override { return {}; }
  Watcher* watcher() override { return nullptr; }
  TrafficView view() override { return {}; }
  Result<void> promote(std::int64_t, const Wish&) override { return {}; }
  Result<void> roll_back(const Wish&) override { return {}; }
  Result<void> set_labels(std::optional<std::map<std::string, std::int64_t>>, const Wish&) override { return {}; }
  Result<void> set_split(std::optional<std::map<std::int64_t, double>>, const Wish&) override { return {}; }
};

}  // namespace penstock::infer
