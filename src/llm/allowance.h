// The limits and budgets of a model, a target or a provider, as the plan names them.
#pragma once

#include <memory>
#include <string>

#include "quota/book.h"

namespace penstock::llm {

// Immutable once the plan is in force, but for what happens on the account.
struct Allowance {
  std::string id;     // of the account: model:chat
  std::string shown;  // as errors name it: the model 'chat'
  quota::Rules rules;
  // Set by Plan::open_accounts(); null before that, when nothing is counted.
  quota::Book* book = nullptr;
  std::shared_ptr<quota::Account> account;
};

}  // namespace penstock::llm
