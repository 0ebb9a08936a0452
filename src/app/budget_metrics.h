// How far budgets are used up, and who waits, as metrics: of the accounts that configuration names, not of a million
// stored keys or addresses.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "obs/metrics.h"
#include "quota/book.h"

namespace penstock::app {

// Any thread.
class BudgetMetrics {
 public:
  // The book outlives it.
  explicit BudgetMetrics(const quota::Book& book, const base::Clock& clock = base::system_clock());
  // From now on those of these that have budgets, at most kAccountsMax, the first ones; null ones are skipped.
  void show(const std::vector<std::shared_ptr<quota::Account>>& accounts);
  void collect(obs::MetricWriter& writer) const;

  static constexpr std::size_t kAccountsMax = 1000;

 private:
  const quota::Book& book_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<quota::Account>> accounts_;
};

}  // namespace penstock::app
