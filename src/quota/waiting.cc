#include "quota/waiting.h"

namespace penstock::quota {
namespace {

void pin(const Sorted& accounts, int by) {
  for (Account* account : accounts) {
    Meters& meters = Meters::of(*account);
    std::scoped_lock lock(meters.lock);
    meters.pins += by;
  }
}

Denial final_denial(const Refusal& refusal, const Now& now) {
  Denial denial = to_denial(refusal, now);
  denial.may_wait = false;
  return denial;
}

// Of what `head` was refused for.
bool asks_less(const Waiter& waiter, const Waiter& head) {
  const Refusal& refusal = head.refusal;
  bool tokens = refusal.plan->budgets[refusal.index].rule.unit == BudgetRule::Unit::tokens;
  return tokens ? waiter.ask.tokens < head.ask.tokens : waiter.ask.cost.value_or(0) < head.ask.cost.value_or(0);
}

}  // namespace

class QueueTicket : public Ticket {
 public:
  QueueTicket(Waiting& waiting, std::shared_ptr<Waiter> waiter) : waiting_(waiting), waiter_(std::move(waiter)) {}
  ~QueueTicket() override { waiting_.drop(*waiter_); }

  std::optional<std::expected<Reservation, Denial>> poll(const Now& now) override {
    return waiting_.poll(*waiter_, now);
  }

  base::SteadyTime due() const override {
    std::scoped_lock lock(waiting_.mutex_);
    waiter_->known_due = waiter_->answer ? waiter_->since : waiter_->due;
    return waiter_->known_due;
  }

 private:
  Waiting& waiting_;
  const std::shared_ptr<Waiter> waiter_;
};

std::unique_ptr<Ticket> Waiting::enter(const Sorted& accounts, const Ask& ask, const Now& now,
                                       std::function<void()> wake) {
  auto waiter = std::make_shared<Waiter>();
  waiter->accounts = accounts;
  waiter->ask = ask;
  waiter->since = waiter->due = waiter->known_due = now.steady;
  waiter->wake = std::move(wake);
  pin(accounts, 1);
  auto ticket = std::make_unique<QueueTicket>(*this, waiter);
  Wakes wakes;
  {
    std::scoped_lock lock(mutex_);
    hear(now);
    waiter->number = next_number_++;
    Reservation reservation;
    auto refusal = take_(accounts, ask, now, reservation, false);
    if (!refusal) {
      waiter->answer = std::move(reservation);
    } else if (!refusal->may_wait || size_ >= static_cast<std::int64_t>(options_.waiting_max)) {
      waiter->answer = std::unexpected(final_denial(*refusal, now));
    } else {
      join(*waiter, std::move(*refusal));
      stirred_.push_back(waiter->at);
      serve_stirred(wakes);
    }
  }
  call(wakes);
  return ticket;
}

void Waiting::serve(std::span<Account* const> accounts, const std::optional<Now>& now) {
  Wakes wakes;
  {
    std::scoped_lock lock(mutex_);
    if (now) hear(*now);
    stirred_.assign(accounts.begin(), accounts.end());
    serve_stirred(wakes);
  }
  call(wakes);
}

std::int64_t Waiting::size() const {
  std::scoped_lock lock(mutex_);
  return size_;
}

std::optional<std::expected<Reservation, Denial>> Waiting::poll(Waiter& waiter, const Now& now) {
  Wakes wakes;
  std::optional<std::expected<Reservation, Denial>> result;
  {
    std::scoped_lock lock(mutex_);
    hear(now);
    waiter.woken = true;  // it need not be told: it is asking
    if (waiter.at != nullptr) {
      stirred_.push_back(waiter.at);
      serve_stirred(wakes);
    }
    if (!waiter.answer && waiter.at != nullptr && now.steady >= waiter.deadline) {
      // What keeps it now, for its error: it is behind itself, so that nothing is granted here.
      Reservation none;
      auto refusal = take_(waiter.accounts, waiter.ask, now, none, false);
      if (refusal) waiter.refusal = std::move(*refusal);
      stirred_.push_back(waiter.at);
      leave(waiter);
      if (refusal) {
        waiter.answer = std::unexpected(final_denial(waiter.refusal, now));
      } else {
        waiter.answer = std::move(none);
      }
      serve_stirred(wakes);
    }
    result = std::exchange(waiter.answer, std::nullopt);
    waiter.woken = false;
  }
  call(wakes);
  return result;
}

void Waiting::drop(Waiter& waiter) {
  Wakes wakes;
  std::optional<std::expected<Reservation, Denial>> unclaimed;
  {
    std::scoped_lock lock(mutex_);
    waiter.woken = true;
    if (waiter.at != nullptr) {
      stirred_.push_back(waiter.at);
      leave(waiter);
      serve_stirred(wakes);
    }
    unclaimed = std::exchange(waiter.answer, std::nullopt);
  }
  call(wakes);
  // Its owner may be gone in a moment, and what `wake` reaches with it.
  while (int under_way = waiter.waking.load()) waiter.waking.wait(under_way);
  unclaimed.reset();
  pin(waiter.accounts, -1);
}

void Waiting::call(const Wakes& wakes) const {
  for (const auto& waiter : wakes) {
    waiter->wake();
    waiter->waking.fetch_sub(1);
    waiter->waking.notify_all();
  }
  after_();
}

void Waiting::hear(const Now& now) {
  if (now.steady > latest_.steady) latest_ = now;
}

void Waiting::serve_stirred(Wakes& wakes) {
  while (!stirred_.empty()) {
    Account* account = stirred_.back();
    stirred_.pop_back();
    serve_queue(account, wakes);
  }
}

void Waiting::serve_queue(Account* account, Wakes& wakes) {
  while (true) {
    auto found = queues_.find(account);
    if (found == queues_.end()) return;
    bool longest = false;
    {
      Meters& meters = Meters::of(*account);
      std::scoped_lock lock(meters.lock);
      longest = meters.passed >= Meters::kPassedMax;
    }
    Waiter& head = *found->second.head(longest);
    if (turn(account, head, wakes)) continue;
    see_due(head, wakes);
    if (longest || !let_pass(account, found->second, head, wakes)) return;
  }
}

bool Waiting::let_pass(Account* account, const Queue& queue, const Waiter& head, Wakes& wakes) {
  // Few are looked at, so that a long queue of large calls costs little.
  constexpr std::size_t kLooked = 32;
  if (head.refusal.why != Denial::Why::budget || head.refusal.sliced || queue.size() < 2) return false;
  auto payers = queue.behind(head, kLooked);
  return std::any_of(payers.begin(), payers.end(),
                     [&](Waiter* next) { return asks_less(*next, head) && turn(account, *next, wakes); });
}

bool Waiting::turn(Account* account, Waiter& waiter, Wakes& wakes) {
  Reservation reservation;
  auto refusal = take_(waiter.accounts, waiter.ask, latest_, reservation, true);
  if (!refusal) {
    leave(waiter, true);
    answer(waiter, std::move(reservation), wakes);
    return true;
  }
  if (!refusal->may_wait) {
    leave(waiter);
    answer(waiter, std::unexpected(to_denial(*refusal, latest_)), wakes);
    return true;
  }
  if (refusal->account == account) {
    waiter.deadline = waiter.since + patience(*refusal);
    waiter.refusal = std::move(*refusal);
    return false;
  }
  leave(waiter);
  join(waiter, std::move(*refusal));
  // What it was refused for may have come free before it stood there.
  stirred_.push_back(waiter.at);
  see_due(waiter, wakes);
  return true;
}

void Waiting::join(Waiter& waiter, Refusal refusal) {
  waiter.at = refusal.account;
  waiter.deadline = waiter.due = waiter.since + patience(refusal);
  Queue& queue = queues_[waiter.at];
  queue.add(&waiter);
  ++size_;
  Meters& meters = Meters::of(*waiter.at);
  std::scoped_lock lock(meters.lock);
  meters.waiting = static_cast<std::int32_t>(queue.size());
  meters.queue_class = queue.first_class();
  meters.queue_why = refusal.why;
  waiter.refusal = std::move(refusal);
}

void Waiting::leave(Waiter& waiter, bool granted) {
  auto found = queues_.find(waiter.at);
  Queue& queue = found->second;
  bool longest = queue.head(true) == &waiter;
  queue.remove(&waiter);
  if (granted) queue.count(waiter);
  --size_;
  {
    Meters& meters = Meters::of(*waiter.at);
    std::scoped_lock lock(meters.lock);
    meters.waiting = static_cast<std::int32_t>(queue.size());
    meters.queue_class = queue.first_class();
    if (longest) {
      meters.passed = 0;
    } else if (granted && meters.passed < Meters::kPassedMax) {
      ++meters.passed;
    }
  }
  if (queue.size() == 0) queues_.erase(found);
  waiter.at = nullptr;
}

void Waiting::answer(Waiter& waiter, std::expected<Reservation, Denial> answer, Wakes& wakes) {
  waiter.answer = std::move(answer);
  wake(waiter, wakes);
}

void Waiting::wake(Waiter& waiter, Wakes& wakes) {
  if (std::exchange(waiter.woken, true)) return;
  waiter.waking.fetch_add(1);
  wakes.push_back(waiter.shared_from_this());
}

// Its owner is told when it has to ask earlier than it knows.
void Waiting::see_due(Waiter& waiter, Wakes& wakes) const {
  base::Duration again = waiter.refusal.again;
  waiter.due = again.count() > 0 ? std::min(waiter.deadline, latest_.steady + again) : waiter.deadline;
  if (waiter.due < waiter.known_due) wake(waiter, wakes);
}

base::Duration Waiting::patience(const Refusal& refusal) const {
  // An exchange with the other gateways takes some milliseconds, and a few of them may be needed.
  if (refusal.sliced) return std::chrono::seconds(5);
  if (refusal.why == Denial::Why::budget) return options_.budget_wait;
  return refusal.plan->rules.limits.throttle;
}

}  // namespace penstock::quota
