#include "flow/accounts.h"

#include "flow/filter.h"

namespace penstock::flow {
namespace {

// IPv6 callers have a /64 of their own, as RFC 6177 has it for the smallest of sites.
std::string address_of(const obs::ClientAddress& client) {
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), client.bytes.begin())) return client.text();
  obs::ClientAddress network = client;
  std::fill(network.bytes.begin() + 8, network.bytes.end(), std::uint8_t{0});
  return network.text() + "/64";
}

}  // namespace

Accounts::Accounts(const Call& call) {
  const Policy& policy = *call.policy;
  if (!policy.address_rules().empty() && policy.book() != nullptr && !call.event.client.local)
    add(policy.book()->address_account(address_of(call.event.client)));
  add(call.model_account);
  if (call.key == nullptr) return;
  add(policy.keys().account_of(*call.key));
  if (call.team == nullptr) return;
  for (quota::Account* account : call.team->accounts) add(account);
}

}  // namespace penstock::flow
