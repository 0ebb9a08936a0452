// The LLM lane as the rest of the process sees it: the current plan and the upstream connections, per core.
#pragma once

#include <memory>
#include <vector>

#include "http/client.h"
#include "llm/plan.h"

namespace penstock::llm {

class Lane {
 public:
  explicit Lane(std::vector<http::ClientPool*> pools) : pools_(std::move(pools)), plans_(pools_.size()) {}
  // On core `core`.
  void set_plan(std::size_t core, std::shared_ptr<const Plan> plan) { plans_[core] = std::move(plan); }
  const std::shared_ptr<const Plan>& plan(std::size_t core) const { return plans_[core]; }
  http::ClientPool& pool(std::size_t core) const { return *pools_[core]; }

 private:
  std::vector<http::ClientPool*> pools_;
  std::vector<std::shared_ptr<const Plan>> plans_;
};

}  // namespace penstock::llm
