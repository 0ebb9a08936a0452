#include "flow/accounts.h"

#include "flow/dialect.h"
#include "flow/filter.h"
#include "flow/permission.h"

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

Standing::Standing(const Call& call) : profile_(call.key == nullptr ? nullptr : &call.key->profile()) {}

Result<void> Standing::check(Call& call) const {
  bool same_policy = call.in_force == nullptr || call.policy == *call.in_force;
  bool same_rules = call.key == nullptr || &call.key->profile() == profile_;
  // Who may no longer call at all is told so first.
  if (call.key != nullptr && call.key->revoked()) return check_state(*call.key, call.team, base::system_clock().wall());
  if (same_policy && same_rules) return reaffirm(call);
  call.retry_after = std::chrono::seconds(1);
  return fail(
      Errc::unavailable,
      "the configuration changed while the call waited for its turn; nothing was done, so it can be sent again");
}

}  // namespace penstock::flow
