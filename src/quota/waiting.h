// All calls that wait, at all accounts.
//
// A call waits in the queue of the account that refused it; refused by another one when its turn comes, it moves there.
// Whoever settles, gives back or polls serves the queues of the accounts concerned: heads are granted as long as they
// fit, in the thread that serves. One mutex is enough, since only accounts at their limit come here. It is taken before
// the locks of accounts, and nothing is called with it held.
#pragma once

#include <mutex>
#include <unordered_map>

#include "quota/queue.h"

namespace penstock::quota {

class Waiting {
 public:
  // All or nothing; null: granted. `head`: its turn has come, those that wait do not keep it.
  using Take = std::function<std::optional<Refusal>(const Sorted&, const Ask&, const Now&, Reservation&, bool head)>;

  // `after`: called with no lock held when some call may have been taken or refused.
  Waiting(const BookOptions& options, Take take, std::function<void()> after)
      : options_(options), take_(std::move(take)), after_(std::move(after)) {}

  std::unique_ptr<Ticket> enter(const Sorted& accounts, const Ask& ask, const Now& now, std::function<void()> wake);
  // Something may fit now at these accounts. Without a time: the last one heard of.
  void serve(std::span<Account* const> accounts, const std::optional<Now>& now);
  std::int64_t size() const;

 private:
  friend class QueueTicket;
  // Those to be woken when the mutex is let go.
  using Wakes = std::vector<std::shared_ptr<Waiter>>;
  void call(const Wakes& wakes) const;

  std::optional<std::expected<Reservation, Denial>> poll(Waiter& waiter, const Now& now);
  void drop(Waiter& waiter);

  // --- with the mutex held ---
  void hear(const Now& now);
  void serve_stirred(Wakes& wakes);
  void serve_queue(Account* account, Wakes& wakes);
  // Some call behind a head that a budget refused has been dealt with.
  bool let_pass(Account* account, const Queue& queue, const Waiter& head, Wakes& wakes);
  // False: it stays where it is.
  bool turn(Account* account, Waiter& waiter, Wakes& wakes);
  void join(Waiter& waiter, Refusal refusal);
  void leave(Waiter& waiter, bool granted = false);
  static void answer(Waiter& waiter, std::expected<Reservation, Denial> answer, Wakes& wakes);
  static void wake(Waiter& waiter, Wakes& wakes);
  void see_due(Waiter& waiter, Wakes& wakes) const;
  base::Duration patience(const Refusal& refusal) const;

  const BookOptions options_;
  const Take take_;
  const std::function<void()> after_;
  mutable std::mutex mutex_;
  std::unordered_map<Account*, Queue> queues_;
  std::vector<Account*> stirred_;  // their queues are to be served
  std::int64_t size_ = 0;
  std::uint64_t next_number_ = 0;
  Now latest_;
};

}  // namespace penstock::quota
