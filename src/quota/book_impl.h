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
  void note_share(Account& account, const Now& now, const Sharing& view);
  Sharing sharing() const;
  // Asks for an exchange when somebody needs one.
  void tell_exchange();
  void gather_shared();
  bool tell_known(Account& account, const Now& now);
  bool tell_uses(Account& account, const Now& now, std::vector<SharedUse>& uses);

  Book& book;
  Waiting waiting;
  Addresses addresses;
  std::mutex alerts_mutex;
  std::vector<BudgetAlert> alerts;
  // What the ledger has not been told yet. Nothing is noted as long as nobody asks.
  std::atomic<bool> keeping = false;
  SpinLock changed_lock;
  Account* changed = nullptr;  // linked by Meters::next_changed
  // How sharing stands.
  std::atomic<bool> sharing_on = false;
  std::atomic<bool> connected = false;
  std::atomic<std::int64_t> gateways = 1;
  std::atomic<std::uint32_t> split = 0;  // as Sharing::split
  std::uint32_t splits = 0;              // so far
  std::atomic<double> slice = 0;
  std::atomic<std::uint32_t> losses = 1;
  std::atomic<base::SteadyTime> lost_at{};
  std::atomic<base::WallMicros> lost_wall = 0;
  SpinLock shared_lock;
  Account* newly_shared = nullptr;  // linked by Meters::next_shared
  std::atomic<bool> exchange_wanted = false;
  std::atomic<bool> exchange_asked = false;  // since the last shared_uses()
  std::function<void()> ask_exchange;        // set before there are calls
  // The sharing thread's own.
  struct Asked {
    Account* account = nullptr;
    std::uint64_t number = 0;  // of the meter
    std::int64_t period = 0;
    bool back = false;
  };
  std::vector<Account*> hot;                     // marked as shared: those used lately
  std::unordered_map<std::string, Asked> asked;  // by the meters' names
  std::uint64_t meters_numbered = 0;

  mutable std::mutex mutex;                                              // of what is below
  std::unordered_map<std::string_view, std::shared_ptr<Account>> by_id;  // by their own ids
  std::unordered_map<std::string, Saved> restored;                       // of accounts that have not been made yet
  std::vector<std::string> forgotten;                                    // ids of those with nothing left to remember
  std::unordered_map<std::string, std::weak_ptr<const Plan>> plans;      // by their text
};

}  // namespace penstock::quota
