// All or nothing over the accounts of a call.
#include "quota/book_impl.h"

namespace penstock::quota {

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

std::expected<Reservation, Denial> Book::reserve(std::span<Account* const> accounts, const Ask& ask, const Now& now) {
  Sorted sorted(accounts);
  std::expected<Reservation, Denial> result;
  Reservation& reservation = *result;
  reservation.book_ = this;
  reservation.admitted_ = now;
  reservation.asked_ = ask;
  for (Account* account : sorted) account->meters_->lock.lock();
  std::optional<Refusal> refusal;
  for (Account* account : sorted) {
    refusal = account->meters_->check(ask, now);
    if (refusal) refusal->account = account;
    if (refusal) break;
  }
  Tightest tightest;
  if (!refusal) {
    for (Account* account : sorted) {
      account->meters_->charge(ask, now, tightest);
      reservation.generations_[reservation.accounts_size_] = account->meters_->generation;
      reservation.accounts_[reservation.accounts_size_++] = account;
    }
  }
  for (Account* account : sorted) account->meters_->lock.unlock();
  if (refusal) {
    reservation.book_ = nullptr;
    return std::unexpected(to_denial(*refusal, now));
  }
  reservation.requests_ = tightest.requests;
  reservation.tokens_ = tightest.tokens;
  return result;
}

}  // namespace penstock::quota
