#include "app/budget_metrics.h"

#include <algorithm>

namespace penstock::app {
namespace {

using Unit = quota::BudgetRule::Unit;

struct Gauge {
  const char* name;
  const char* help;
  Unit unit;
  std::int64_t (*value)(const quota::BudgetState&);
};

std::int64_t used(const quota::BudgetState& budget) { return budget.spent; }
std::int64_t remaining(const quota::BudgetState& budget) { return budget.remaining(); }

constexpr Gauge kGauges[] = {
    {"penstock_budget_used_usd", "Money spent of a budget in its period.", Unit::micro_usd, used},
    {"penstock_budget_remaining_usd", "Money left of it; what calls under way hold is not.", Unit::micro_usd,
     remaining},
    {"penstock_budget_used_tokens", "Tokens spent of a budget in its period.", Unit::tokens, used},
    {"penstock_budget_remaining_tokens", "Tokens left of it; what calls under way hold is not.", Unit::tokens,
     remaining},
};

}  // namespace

BudgetMetrics::BudgetMetrics(const quota::Book& book, const base::Clock& clock) : book_(book), clock_(clock) {}

void BudgetMetrics::show(const std::vector<std::shared_ptr<quota::Account>>& accounts) {
  quota::Now now{clock_.steady(), clock_.wall()};
  std::vector<std::shared_ptr<quota::Account>> shown;
  for (const auto& account : accounts) {
    if (!account || account->state(now).budgets.empty()) continue;
    shown.push_back(account);
    if (shown.size() == kAccountsMax) break;
  }
  std::lock_guard lock(mutex_);
  accounts_ = std::move(shown);
}

void BudgetMetrics::collect(obs::MetricWriter& writer) const {
  writer.family("penstock_waiting_calls", "gauge",
                "Calls that wait for their turn: for a limit, or a budget that others hold.");
  writer.sample("penstock_waiting_calls", {}, static_cast<double>(book_.waiting()));
  std::vector<std::shared_ptr<quota::Account>> accounts;
  {
    std::lock_guard lock(mutex_);
    accounts = accounts_;
  }
  std::vector<std::pair<const quota::Account*, quota::BudgetState>> budgets;
  quota::Now now{clock_.steady(), clock_.wall()};
  for (const auto& account : accounts)
    for (quota::BudgetState& budget : account->state(now).budgets)
      budgets.emplace_back(account.get(), std::move(budget));
  for (const Gauge& gauge : kGauges) {
    bool begun = false;
    for (const auto& [account, budget] : budgets) {
      if (budget.rule.unit != gauge.unit) continue;
      if (!std::exchange(begun, true)) writer.family(gauge.name, "gauge", gauge.help);
      double parts = gauge.unit == Unit::micro_usd ? 1e6 : 1;
      writer.sample(gauge.name, {{"account", account->id()}, {"budget", budget.rule.text()}},
                    static_cast<double>(gauge.value(budget)) / parts);
    }
  }
}

}  // namespace penstock::app
