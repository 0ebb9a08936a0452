// The inside of the Book.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "quota/addresses.h"
#include "quota/book.h"
#include "quota/checkpoint.h"
#include "quota/meters.h"
#include "quota/waiting.h"

namespace penstock::quota {

struct Book::Impl {
  Impl(Book& book, BookOptions options);

  // All or nothing, at once; nothing: granted. `head`: those that wait do not keep it.
  std::optional<Refusal> take(const Sorted& accounts, const Ask& ask, const Now& now, Reservation& into, bool head);

  std::shared_ptr<const Plan> plan_of(const Rules& rules);  // with `mutex` held
  void add_alerts(std::vector<BudgetAlert> more);
  // With the account's lock held.
  void note_change(Account& account);

  Book& book;
  Waiting waiting;
  Addresses addresses;
  std::mutex alerts_mutex;
  std::vector<BudgetAlert> alerts;
  // What the ledger has not been told yet. Nothing is noted as long as nobody asks.
  std::atomic<bool> keeping = false;
  SpinLock changed_lock;
  Account* changed = nullptr;                                            // linked by Meters::next_changed
  mutable std::mutex mutex;                                              // of what is below
  std::unordered_map<std::string_view, std::shared_ptr<Account>> by_id;  // by their own ids
  std::unordered_map<std::string, Saved> restored;                       // of accounts that have not been made yet
  std::vector<std::string> forgotten;                                    // ids of those with nothing left to remember
  std::unordered_map<std::string, std::weak_ptr<const Plan>> plans;      // by their text
};

}  // namespace penstock::quota
