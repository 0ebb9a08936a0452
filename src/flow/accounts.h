// Whose limits and budgets count for a call.
#pragma once

#include <array>
#include <span>

#include "flow/call.h"
#include "flow/teams.h"

namespace penstock::flow {

// Those of its address, its model, its key and the key's teams, as far as they have limits. Borrowed from the call.
class Accounts {
 public:
  explicit Accounts(const Call& call);
  std::span<quota::Account* const> all() const { return {accounts_.data(), size_}; }

 private:
  void add(quota::Account* account) {
    if (account != nullptr) accounts_[size_++] = account;
  }
  std::array<quota::Account*, 3 + Teams::kDepthMax> accounts_;
  std::size_t size_ = 0;
};

// What to tell whoever asked for more than these accounts have.
Error refusal_of(quota::Denial denial);

// What a call was measured by when it began to wait for its turn.
class Standing {
 public:
  explicit Standing(const Call& call);
  // Before it goes on: whether its caller still may. unavailable: the configuration or the key changed meanwhile, and
  // with it maybe what has to be known of a call; it can be sent again. Otherwise as reaffirm().
  Result<void> check(Call& call) const;

 private:
  const Profile* profile_;
};

}  // namespace penstock::flow
