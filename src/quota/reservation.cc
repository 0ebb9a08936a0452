#include "quota/book_impl.h"

namespace penstock::quota {
namespace {

Used in_range(Used used) {
  used.tokens = std::clamp<std::int64_t>(used.tokens, 0, kAmountMax);
  if (used.cost) used.cost = std::clamp<std::int64_t>(*used.cost, 0, kAmountMax);
  return used;
}

std::int64_t over(std::int64_t so_far, std::int64_t held) { return std::max<std::int64_t>(so_far - held, 0); }

}  // namespace

Reservation::Reservation(Reservation&& other) noexcept { *this = std::move(other); }

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  end(counted_, admitted_, std::nullopt);
  book_ = std::exchange(other.book_, nullptr);
  admitted_ = other.admitted_;
  asked_ = other.asked_;
  raised_ = other.raised_;
  counted_ = other.counted_;
  accounts_size_ = std::exchange(other.accounts_size_, std::uint8_t{0});
  accounts_ = other.accounts_;
  generations_ = other.generations_;
  requests_ = other.requests_;
  tokens_ = other.tokens_;
  return *this;
}

// Without a clock: what is given back at the moment it was admitted is as if it had never been taken.
Reservation::~Reservation() { end(counted_, admitted_, std::nullopt); }

std::optional<Denial> Reservation::use(const Used& said, const Now& now) {
  if (book_ == nullptr) return std::nullopt;
  Used so_far = in_range(said);
  Used by{over(so_far.tokens, held_tokens()), over(so_far.cost.value_or(0), held_cost())};
  counted_ = so_far;
  std::optional<Refusal> refusal;
  for (std::size_t i = 0; i < accounts_size_; ++i) {
    Meters& meters = Meters::of(*accounts_[i]);
    std::scoped_lock lock(meters.lock);
    meters.raise({asked_, raised_, admitted_, generations_[i]}, by, now);
    book_->impl_->note_change(*accounts_[i]);
    book_->impl_->note_share(*accounts_[i], now, book_->impl_->sharing());
    auto over_limit = refusal ? std::nullopt : meters.exceeded(now);
    if (!over_limit) continue;
    refusal = std::move(over_limit);
    refusal->account = accounts_[i];
  }
  raised_.tokens += by.tokens;
  raised_.cost = raised_.cost.value_or(0) + by.cost.value_or(0);
  if (!refusal) return std::nullopt;
  return to_denial(*refusal, now);
}

void Reservation::settle(const Used& used, const Now& now) { end(in_range(used), now, now); }

void Reservation::end(const Used& used, const Now& at, const std::optional<Now>& now) {
  Book* book = std::exchange(book_, nullptr);
  if (book == nullptr) return;
  std::array<Account*, kAccountsMax> waited_for;
  std::size_t waited_for_size = 0;
  std::vector<BudgetAlert> alerts;
  for (std::size_t i = 0; i < accounts_size_; ++i) {
    Meters& meters = Meters::of(*accounts_[i]);
    std::scoped_lock lock(meters.lock);
    meters.settle({asked_, raised_, admitted_, generations_[i]}, used, at);
    book->impl_->note_change(*accounts_[i]);
    book->impl_->note_share(*accounts_[i], at, book->impl_->sharing());
    meters.take_alerts(*accounts_[i], at, alerts);
    if (meters.waiting > 0) waited_for[waited_for_size++] = accounts_[i];
  }
  accounts_size_ = 0;
  book->impl_->add_alerts(std::move(alerts));
  book->impl_->tell_exchange();
  if (waited_for_size > 0) book->impl_->waiting.serve(std::span(waited_for).first(waited_for_size), now);
}

}  // namespace penstock::quota
