// All or nothing over the accounts of a call.
#include "quota/book_impl.h"

namespace penstock::quota {
namespace {

class Locked {
 public:
  explicit Locked(const Sorted& accounts) : accounts_(accounts) {
    for (Account* account : accounts_) Meters::of(*account).lock.lock();
  }
  ~Locked() {
    for (Account* account : accounts_) Meters::of(*account).lock.unlock();
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  const Sorted& accounts_;
};

// One that time or others may lift counts only when no other stands.
std::optional<Refusal> check(const Sorted& accounts, const Ask& ask, const Now& now, const Sharing& sharing,
                             bool head) {
  std::optional<Refusal> first;
  for (Account* account : accounts) {
    auto refusal = Meters::of(*account).check(ask, now, sharing, head);
    if (!refusal) continue;
    refusal->account = account;
    if (!refusal->may_wait) return refusal;
    if (!first) first = std::move(refusal);
  }
  return first;
}

// Figures gone wrong must not upset sums.
Ask in_range(Ask ask) {
  ask.requests = std::clamp<std::int64_t>(ask.requests, 0, kAmountMax);
  ask.tokens = std::clamp<std::int64_t>(ask.tokens, 0, kAmountMax);
  if (ask.cost) ask.cost = std::clamp<std::int64_t>(*ask.cost, 0, kAmountMax);
  return ask;
}

}  // namespace

Sorted::Sorted(std::span<Account* const> accounts) {
  for (Account* account : accounts) {
    if (account == nullptr || !account->limited()) continue;
    std::size_t at = size_;
    while (at > 0 && std::less<>{}(account, accounts_[at - 1])) --at;
    if ((at > 0 && accounts_[at - 1] == account) || size_ == kMax) continue;
    std::copy_backward(accounts_.begin() + at, accounts_.begin() + size_, accounts_.begin() + size_ + 1);
    accounts_[at] = account;
    ++size_;
  }
}

std::optional<Refusal> Book::Impl::take(const Sorted& accounts, const Ask& asked_for, const Now& now, Reservation& into,
                                        bool head) {
  Ask ask = in_range(asked_for);
  Sharing view = sharing();
  Locked locked(accounts);
  if (auto refusal = check(accounts, ask, now, view, head)) {
    if (refusal->sliced) {
      note_share(*refusal->account, now, view);
      exchange_wanted = true;
    }
    return refusal;
  }
  Tightest tightest;
  for (Account* account : accounts) {
    Meters& meters = Meters::of(*account);
    meters.charge(ask, now, view, head, tightest);
    note_change(*account);
    if (view.on) note_share(*account, now, view);
    into.generations_[into.accounts_size_] = meters.generation;
    into.accounts_[into.accounts_size_++] = account;
  }
  into.book_ = &book;
  into.admitted_ = now;
  into.asked_ = ask;
  into.requests_ = tightest.requests;
  into.tokens_ = tightest.tokens;
  return std::nullopt;
}

std::expected<Reservation, Denial> Book::reserve(std::span<Account* const> accounts, const Ask& ask, const Now& now) {
  std::expected<Reservation, Denial> result;
  auto refusal = impl_->take(Sorted(accounts), ask, now, *result, false);
  impl_->tell_exchange();
  if (refusal) return std::unexpected(to_denial(*refusal, now));
  return result;
}

}  // namespace penstock::quota
