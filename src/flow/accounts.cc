#include "flow/accounts.h"

#include "flow/dialect.h"
#include "flow/filter.h"

namespace penstock::flow {

Accounts::Accounts(const Call& call) {
  const Policy& policy = *call.policy;
  if (!policy.address_rules().empty() && policy.book() != nullptr && !call.event.client.local)
    add(policy.book()->address_account(call.event.client.text()));
  add(call.model_account);
  if (call.key == nullptr) return;
  add(policy.keys().account_of(*call.key));
  if (call.team == nullptr) return;
  for (quota::Account* account : call.team->accounts) add(account);
}

Error refusal_of(quota::Denial denial) {
  using Why = quota::Denial::Why;
  if (denial.why == Why::budget) denial.error.source = kBudgetSource;
  // Asking again would not help, which clients take a conflict (409) for.
  if (denial.why == Why::unpriced) denial.error.code = Errc::permission_denied;
  return std::move(denial.error);
}

}  // namespace penstock::flow
