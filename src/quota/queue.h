// Who waits at one account, and whose turn it is.
//
// Turns go to the first priority class that waits. Within a class they are shared out between payers by start-time fair
// queueing (Goyal, Vin, Cheng 1997): each payer has a virtual time that grows by the tokens (at least 1) of the calls
// it was granted, and the one that is least far is next; a payer's own calls keep their order. So that nobody starves,
// one of eight turns goes to the call that has waited longest, whatever its class and payer.
//
// When the one whose turn it is asks for more of a budget than others leave free just now, smaller calls of other
// payers go first; they count as turns before the one that has waited longest.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

#include "quota/meters.h"
#include "quota/sorted.h"

namespace penstock::quota {

// A call that waits. Behind the mutex of Waiting, save what never changes.
struct Waiter : std::enable_shared_from_this<Waiter> {
  Sorted accounts;
  Ask ask;
  std::uint64_t number = 0;  // the older, the smaller
  base::SteadyTime since;
  std::function<void()> wake;

  Account* at = nullptr;  // in whose queue it is; null: in none
  Refusal refusal;        // the last one
  base::SteadyTime deadline;
  base::SteadyTime due;        // when it makes sense to ask again
  base::SteadyTime known_due;  // as its owner knows it
  bool woken = true;           // and has not asked since
  std::optional<std::expected<Reservation, Denial>> answer;
  std::atomic<int> waking = 0;  // calls of `wake` under way
};

class Queue {
 public:
  void add(Waiter* waiter);
  // It gives up, or goes elsewhere.
  void remove(Waiter* waiter);
  // It was granted and has been removed.
  void count(const Waiter& waiter);
  // Null when nobody waits. `longest`: this turn is of the one that has waited longest.
  Waiter* head(bool longest) const;
  // The first calls of each payer, in the order of their turns, without the head: at most `most`.
  std::vector<Waiter*> behind(const Waiter& head, std::size_t most) const;
  std::size_t size() const { return all_.size(); }
  std::uint8_t first_class() const;

 private:
  static constexpr std::size_t kClasses = 4;
  struct Payer {
    std::int64_t time = 0;
    std::map<std::uint64_t, Waiter*> waiters;
  };
  using Place = std::tuple<std::int64_t, std::uint64_t, const Account*>;  // time, number of the first waiter
  struct Class {
    std::int64_t time = 0;  // of the last payer that was granted
    std::unordered_map<const Account*, Payer> payers;
    std::set<Place> order;  // of those that wait
  };
  static std::size_t class_of(const Ask& ask) { return std::min<std::size_t>(ask.priority, kClasses - 1); }
  static void forget_old(Class& of);

  std::array<Class, kClasses> classes_;
  std::map<std::uint64_t, Waiter*> all_;
};

}  // namespace penstock::quota
