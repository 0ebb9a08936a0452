#include "ext/filters/limits/limits_filter.h"

#include "flow/accounts.h"
#include "flow/dialect.h"
#include "flow/permission.h"
#include "rt/wait.h"

namespace penstock::ext {
namespace {

quota::Now now_of(const flow::Call& call) { return {call.exchange.loop().now(), base::system_clock().wall()}; }

void keep(flow::Call& call, quota::Reservation reservation) {
  call.reservation = std::move(reservation);
  call.request_limit = call.reservation.requests();
  call.token_limit = call.reservation.tokens();
}

// What is left of the tightest limits, for the fields of a refusal.
void show_limits(flow::Call& call, const flow::Accounts& accounts, const quota::Now& now) {
  for (const quota::Account* account : accounts.all()) {
    for (const quota::RateState& rate : account->state(now).rates) {
      auto& shown = rate.rule.unit == quota::RateLimit::Unit::requests ? call.request_limit : call.token_limit;
      std::int64_t remaining = std::max<std::int64_t>(0, rate.remaining);
      if (!shown || remaining < shown->remaining) shown = flow::ShownLimit{rate.rule.amount, remaining, rate.reset};
    }
  }
}

std::unexpected<Error> refusal(flow::Call& call, quota::Denial denial) {
  if (denial.retry_after > base::Duration::zero()) call.retry_after = denial.retry_after;
  return std::unexpected(flow::refusal_of(std::move(denial)));
}

// Woken from any thread; the call may be gone by then.
struct Turn {
  explicit Turn(rt::Loop& l) : loop(l) {}
  rt::Loop& loop;
  rt::Wait* waiting = nullptr;  // on the loop
  bool woken = false;
  void wake() {
    woken = true;
    if (waiting != nullptr) waiting->set();
  }
};

rt::Task<Result<void>> wait_for_turn(flow::Call& call, flow::Accounts accounts) {
  rt::Loop& loop = call.exchange.loop();
  flow::Standing standing(call);
  base::SteadyTime since = loop.now();
  auto turn = std::make_shared<Turn>(loop);
  quota::Ask ask = call.ask;
  ask.payer = call.key == nullptr ? nullptr : call.policy->keys().payer_of(*call.key);
  auto ticket = call.policy->book()->wait(accounts.all(), ask, now_of(call),
                                          [turn] { turn->loop.post([turn] { turn->wake(); }); });
  rt::Cancellation gone;
  call.exchange.on_client_gone([&gone] { gone.cancel(); });
  Result<void> passed = fail(Errc::cancelled, "the client left while it waited for its turn");
  while (!call.exchange.client_gone()) {
    turn->woken = false;
    if (auto answer = ticket->poll(now_of(call))) {
      if (*answer) {
        // Destroyed unkept, the reservation gives everything back.
        passed = standing.check(call);
        if (passed) keep(call, std::move(**answer));
      } else {
        show_limits(call, accounts, now_of(call));
        passed = refusal(call, std::move(answer->error()));
      }
      break;
    }
    rt::Wait waiting(loop, ticket->due(), &gone);
    turn->waiting = &waiting;
    if (turn->woken) waiting.set();
    co_await waiting;
    turn->waiting = nullptr;
  }
  call.exchange.on_client_gone({});
  base::Duration waited = loop.now() - since;
  call.event.waited_nanos += waited.count();
  call.upstream_wait += waited;
  co_return passed;
}

Result<void> check_input(const flow::Call& call) {
  std::int64_t most = flow::input_max(call);
  if (most == 0 || call.input_tokens <= most) return {};
  return fail(Errc::out_of_range,
              fmt::format("the input has {} tokens, and at most {} are allowed in one request: make it shorter",
                          call.input_tokens, most));
}

}  // namespace

rt::Task<Result<void>> LimitsFilter::on_request(flow::Call& call) {
  using Passed = rt::Task<Result<void>>;
  quota::Book* book = call.policy->book();
  if (book == nullptr) return Passed::ready();
  // A call may ask several times: for every message of a connection. The one before has used what it has used.
  if (call.reservation) on_settle(call);
  if (auto fits = check_input(call); !fits) return Passed::ready(std::move(fits));
  flow::Accounts accounts(call);
  if (accounts.all().empty()) return Passed::ready();
  if (call.key != nullptr) call.ask.priority = static_cast<std::uint8_t>(call.key->profile().priority);
  quota::Now now = now_of(call);
  auto reserved = book->reserve(accounts.all(), call.ask, now);
  if (reserved) {
    keep(call, std::move(*reserved));
    return Passed::ready();
  }
  if (reserved.error().may_wait) return wait_for_turn(call, accounts);
  show_limits(call, accounts, now);
  return Passed::ready(refusal(call, std::move(reserved.error())));
}

namespace {

quota::Used used_by(const flow::Call& call) {
  const obs::RequestEvent& event = call.event;
  quota::Used used{event.input_tokens + event.output_tokens, std::nullopt};
  if (event.cost_known) used.cost = event.cost_micros;
  return used;
}

}  // namespace

Result<void> LimitsFilter::on_usage(flow::Call& call) {
  if (!call.reservation) return {};
  quota::Now now = now_of(call);
  // And a little more: who has used exactly what there is has nothing left to go on with.
  quota::Used used = used_by(call);
  ++used.tokens;
  if (used.cost) ++*used.cost;
  auto denial = call.reservation.use(used, now);
  if (!denial) return {};
  show_limits(call, flow::Accounts(call), now);
  return refusal(call, std::move(*denial));
}

void LimitsFilter::on_settle(flow::Call& call) {
  if (!call.reservation) return;
  const obs::RequestEvent& event = call.event;
  quota::Used used;
  if (event.usage_known) {
    used = used_by(call);
  } else if (event.status > 0 && event.status < 400) {
    // It did cost something, and nobody said how much.
    used = {call.reservation.held_tokens(), std::nullopt};
  }
  call.reservation.settle(used, now_of(call));
}

}  // namespace penstock::ext
