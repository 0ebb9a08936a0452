#include "llm/target_hold.h"

#include "flow/accounts.h"

namespace penstock::llm {
namespace {

// A target's accounts and its provider's, without those that have no limits.
struct Accounts {
  explicit Accounts(const Target& target) {
    for (const auto& allowance : target.allowances) {
      if (!allowance || !allowance->account) continue;
      book = allowance->book;
      list[size++] = allowance->account.get();
    }
  }
  std::span<quota::Account* const> span() const { return std::span(list).first(size); }
  quota::Book* book = nullptr;
  std::array<quota::Account*, 2> list{};
  std::size_t size = 0;
};

quota::Now now_of(const flow::Call& call) { return {call.exchange.loop().now(), base::system_clock().wall()}; }

// What wakes a wait on its loop, from any thread, also when the wait is over.
struct Bell {
  explicit Bell(rt::Loop& on) : loop(on) {}
  rt::Loop& loop;
  rt::Wait* wait = nullptr;  // on the loop
};

}  // namespace

void TargetHold::settle(const quota::Used& used, const quota::Now& now) {
  if (!reservation_) return;
  std::exchange(reservation_, nullptr)->settle(used, now);
}

quota::Ask TargetHolds::ask_of(const Target& target, std::span<quota::Account* const> accounts) const {
  quota::Ask ask = call_.ask;
  bool money = std::ranges::any_of(accounts, [](const quota::Account* account) { return account->needs_price(); });
  ask.cost = money ? cost_of_(target) : 0;
  return ask;
}

std::optional<TargetHold> TargetHolds::take(const Target& target) {
  if (!target.limited()) return TargetHold();
  Accounts accounts(target);
  if (accounts.book == nullptr) return TargetHold();
  auto held = accounts.book->reserve(accounts.span(), ask_of(target, accounts.span()), now_of(call_));
  if (held) return TargetHold(std::move(*held));
  note(target, std::move(held.error()));
  return std::nullopt;
}

void TargetHolds::note(const Target& target, quota::Denial denial) {
  if (denial.may_wait && may_wait_ == nullptr) may_wait_ = &target;
  bool sooner = !denial_ || (denial.retry_after.count() > 0 &&
                             (denial_->retry_after.count() == 0 || denial.retry_after < denial_->retry_after));
  if (sooner) denial_ = std::move(denial);
}

rt::Task<const Target*> TargetHolds::wait(TargetHold& hold, base::SteadyTime deadline, rt::Cancellation& cancellation) {
  const Target* target = std::exchange(may_wait_, nullptr);
  if (target == nullptr) co_return nullptr;
  Accounts accounts(*target);
  auto bell = std::make_shared<Bell>(call_.exchange.loop());
  auto ring = [bell] {
    bell->loop.post([bell] {
      if (bell->wait != nullptr) bell->wait->set();
    });
  };
  flow::Standing standing(call_);
  base::SteadyTime since = std::chrono::steady_clock::now();
  auto ticket = accounts.book->wait(accounts.span(), ask_of(*target, accounts.span()), now_of(call_), ring);
  while (ticket && !cancellation.cancelled() && call_.exchange.loop().now() < deadline) {
    if (auto answer = ticket->poll(now_of(call_))) {
      call_.event.waited_nanos += (std::chrono::steady_clock::now() - since).count();
      if (!*answer) {
        denial_ = std::move(answer->error());
        co_return nullptr;
      }
      if (auto still = standing.check(call_); !still) {
        denial_ = quota::Denial{.error = std::move(still.error())};
        co_return nullptr;
      }
      hold = TargetHold(std::move(**answer));
      co_return target;
    }
    rt::Wait wait(call_.exchange.loop(), std::min(ticket->due(), deadline), &cancellation);
    bell->wait = &wait;
    {
      Waiting waiting(call_);
      (void)co_await wait;
    }
    bell->wait = nullptr;
  }
  co_return nullptr;
}

Failure TargetHolds::failure() const {
  using Why = quota::Denial::Why;
  bool money = denial_->why == Why::budget || denial_->why == Why::unpriced;
  // Anything else is about the caller.
  bool limit = denial_->error.code == Errc::resource_exhausted;
  obs::ErrorType type = money   ? obs::ErrorType::policy_budget
                        : limit ? obs::ErrorType::policy_limit
                                : flow::error_type_of(denial_->error.code);
  Failure failure(flow::refusal_of(*denial_), type);
  if (denial_->retry_after.count() > 0)
    failure.retry_after = std::chrono::ceil<std::chrono::seconds>(denial_->retry_after);
  return failure;
}

}  // namespace penstock::llm
