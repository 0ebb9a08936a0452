// The LLM lane as the rest of the process sees it: the current plan and the upstream connections, per core.
#pragma once

#include <memory>
#include <vector>

#include "http/client.h"
#include "llm/local_embeddings.h"
#include "llm/plan.h"

namespace penstock::llm {

class Lane {
 public:
  explicit Lane(std::vector<http::ClientPool*> pools) : pools_(std::move(pools)), plans_(pools_.size()) {}
  // On core `core`.
  void set_plan(std::size_t core, std::shared_ptr<const Plan> plan) { plans_[core] = std::move(plan); }
  const std::shared_ptr<const Plan>& plan(std::size_t core) const { return plans_[core]; }
  http::ClientPool& pool(std::size_t core) const { return *pools_[core]; }
  // Before any core runs; outlives this. Null: no model of this process embeds.
  void set_local(LocalEmbeddings* local) { local_ = local; }
  LocalEmbeddings* local() const { return local_; }

 private:
  std::vector<http::ClientPool*> pools_;
  std::vector<std::shared_ptr<const Plan>> plans_;
  LocalEmbeddings* local_ = nullptr;
};

}  // namespace penstock::llm
