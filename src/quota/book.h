// All accounts, what is reserved on them, and who waits for them. One per process; its accounts outlive reloads.
//
// A call reserves on all its accounts at once, or on none: the locks of the accounts are taken in the order of their
// addresses, all meters are asked, and only when every one agrees all are changed. So two calls never keep each other
// out with halves, and what one account refuses costs the others nothing. The call settles once with what it really
// used.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "quota/account.h"

namespace penstock::quota {

// What a call wants.
struct Ask {
  std::int64_t requests = 1;
  std::int64_t tokens = 0;               // input as counted and output as allowed
  std::optional<std::int64_t> cost = 0;  // millionths of a US dollar, the most it can be; nothing: no price is known
  std::uint8_t priority = 2;             // 0 is served first (flow::Priority)
  const Account* payer = nullptr;        // turns are shared out fairly between these: the key's account
};

// What it used in the end.
struct Used {
  std::int64_t tokens = 0;
  std::optional<std::int64_t> cost = 0;  // nothing: unknown, the reservation counts
};

// Why a call is refused.
struct Denial {
  enum class Why : std::uint8_t { rate, concurrent, budget, unpriced };
  Why why = Why::rate;
  Error error;                   // resource_exhausted; failed_precondition for unpriced. Names the account.
  base::Duration retry_after{};  // zero: not known
  std::int64_t limit = 0;        // what it ran into
  bool may_wait = false;         // others that settle or time may let it through soon: wait() makes sense
};

// What a call holds. Movable; on one core at a time. Destroying it gives back all but the request itself, as for a call
// that never went out.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();

  explicit operator bool() const { return book_ != nullptr; }
  // Of the tightest limit each; nothing when there is none.
  const std::optional<ShownLimit>& requests() const { return requests_; }
  const std::optional<ShownLimit>& tokens() const { return tokens_; }
  std::int64_t held_tokens() const { return asked_.tokens + raised_.tokens; }
  std::int64_t held_cost() const { return asked_.cost.value_or(0) + raised_.cost.value_or(0); }
  // For calls that stand for long: more was used than was held. What is over a limit is charged all the same; an error
  // says that the call has to end. Keeps the reservation. What was said to be used stays used when it is destroyed.
  std::optional<Denial> use(const Used& so_far, const Now& now);
  // Ends it: held becomes used. Once; later calls do nothing. An unknown cost counts as what is held.
  void settle(const Used& used, const Now& now);

 private:
  friend class Book;
  static constexpr std::size_t kAccountsMax = 12;
  void end(const Used& used, const Now& at, const std::optional<Now>& now);
  Book* book_ = nullptr;
  Now admitted_;
  Ask asked_;
  Used raised_;   // on top of what was asked, by use()
  Used counted_;  // used for sure, by use()
  std::uint8_t accounts_size_ = 0;
  std::array<Account*, kAccountsMax> accounts_{};          // the Book keeps them while they are held
  std::array<std::uint32_t, kAccountsMax> generations_{};  // of their rules when the call was admitted
  std::optional<ShownLimit> requests_;
  std::optional<ShownLimit> tokens_;
};

// A place in the queue of an account. On the loop of the call; destroying it gives the place up, waits for a `wake`
// that is just being called, and gives back what was granted and not polled. Not destroyed by its own `wake`.
class Ticket {
 public:
  virtual ~Ticket() = default;
  // Nothing as long as there is nothing to say. To be called once at first, then after `wake` or at `due()`. Asks again
  // whether it is this call's turn (also after `due()`).
  virtual std::optional<std::expected<Reservation, Denial>> poll(const Now& now) = 0;
  // When to poll at the latest: time alone may let it through then, or its patience is over.
  virtual base::SteadyTime due() const = 0;
};

// A meter's state as the ledger keeps it.
struct Checkpoint {
  std::string id;     // of the account
  std::string state;  // JSON; empty: nothing is left to remember
};

// What a gateway that shares its meters with others tells and hears.
struct SharedUse {
  std::string meter;       // unique among gateways: account, unit and window, or account, unit and the period's begin
  std::int64_t used = 0;   // here, and not told yet; never negative: what was given back is a meter of its own
  std::int64_t known = 0;  // the sum of all gateways as last heard: a smaller one has lost something and is set to this
  base::Duration keep{};   // how long the sum is of interest
};
struct SharedSum {
  std::string meter;
  std::int64_t told = 0;  // of SharedUse::used
  std::int64_t sum = 0;   // of all gateways, ours included
};
struct SharingState {
  bool on = false;         // meters are shared at all
  bool connected = false;  // false: only the local share of what was left is given out
  int gateways = 1;        // alive, ours included
  double slice = 0.02;     // of a limit: how much of it one gateway may give out before it has told the others
};

// Says that a budget reached a share of its amount: for the log, metrics and webhooks.
struct BudgetAlert {
  std::string account;  // id
  std::string shown;
  BudgetRule rule;
  double share = 0;
  std::int64_t spent = 0;
  base::WallMicros renews = 0;
};

struct BookOptions {
  std::size_t waiting_max = 10'000;                       // calls that wait, in all; more are refused
  base::Duration budget_wait = std::chrono::seconds(30);  // the longest wait for what others hold of a budget
  std::size_t addresses_max = 100'000;                    // remembered; the one idle longest is forgotten
};

class Book {
 public:
  explicit Book(BookOptions options = {});
  ~Book();

  // --- configuration, by one thread at a time ---
  // The account of that id with these rules. One that exists keeps its state where the rule is still there.
  std::shared_ptr<Account> account(std::string_view id, std::string_view shown, const Rules& rules);
  // The rules of every client address; empty: none.
  void set_address_rules(const Rules& rules);
  // Forgets accounts that nobody else knows any more and that hold nothing.
  void prune();

  // --- any thread ---
  // The account of a client's address; null when addresses have no rules.
  Account* address_account(std::string_view address);
  // All or nothing, at once. Accounts without rules may be left out; null ones are skipped; at most 12.
  std::expected<Reservation, Denial> reserve(std::span<Account* const> accounts, const Ask& ask, const Now& now);
  // After a denial that `may_wait`: a place in the queue. `wake` is called on any thread, at most once before each
  // poll(), when poll() may have something to say. The patience is that of the accounts' `throttle`, or of the budget.
  std::unique_ptr<Ticket> wait(std::span<Account* const> accounts, const Ask& ask, const Now& now,
                               std::function<void()> wake);
  std::int64_t waiting() const;
  // Gives `amount` more (or less) to a budget of the account for its present period. Errors: not_found.
  Result<void> adjust(std::string_view account, const BudgetRule& rule, std::int64_t amount, const Now& now);
  // Every account with its state, for the admin API; `prefix` of ids: "team:".
  std::vector<std::pair<std::shared_ptr<Account>, AccountState>> list(std::string_view prefix, const Now& now) const;

  // --- the ledger's thread ---
  // What changed since the last call. Nothing is noted before the first one, or restore().
  std::vector<Checkpoint> take_checkpoints(const Now& now);
  // Before the first account is made: what was held counts as spent. Those that cannot be read are left out and
  // returned with the reason (data_loss; unimplemented for a newer version), `source` being the id.
  std::vector<Error> restore(std::vector<Checkpoint> checkpoints, const Now& now);
  std::vector<BudgetAlert> take_alerts();

  // --- the sharing thread ---
  // Called from any thread, with no lock held, when the others should soon hear what was given out here: at most once
  // between two shared_uses(). Set before there are calls.
  void on_slice_used(std::function<void()> exchange);
  // Of meters used in the last second, or not told of: also with `used` 0, to hear the others. The sums only grow.
  std::vector<SharedUse> shared_uses(const Now& now);
  // The answer to the last shared_uses(). Sums of a meter that is no more are skipped.
  void apply(const std::vector<SharedSum>& sums, const Now& now);
  void set_sharing(const SharingState& state, const Now& now);

 private:
  friend class Reservation;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::quota
