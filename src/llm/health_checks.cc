#include "llm/health_checks.h"

#include "llm/target_health.h"

namespace penstock::llm {
namespace {

// The answer's body says nothing, but reading it keeps the connection.
constexpr std::size_t kAnswerBytesMax = 1U << 20;

}  // namespace

void HealthChecks::end(Check& check) {
  check.cancellation.cancel();
  if (check.call != nullptr) check.call->cancel();
}

void HealthChecks::apply(const Plan& plan) {
  std::map<const http::Origin*, std::shared_ptr<Check>> wanted;
  for (const auto& [name, provider] : plan.providers()) {
    const auto& origin = provider->origin();
    if (!origin->check) continue;
    auto running = checks_.extract(origin.get());
    auto& check = wanted[origin.get()];
    if (check) continue;
    if (!running.empty()) {
      check = std::move(running.mapped());
      check->provider = provider;
      continue;
    }
    check = std::make_shared<Check>();
    check->provider = provider;
    check->origin = origin;
    scope_.spawn(run(check));
  }
  for (auto& [origin, check] : checks_) end(*check);
  checks_ = std::move(wanted);
}

rt::Task<void> HealthChecks::stop() {
  for (auto& [origin, check] : checks_) end(*check);
  checks_.clear();
  co_await scope_.idle();
}

rt::Task<void> HealthChecks::run(std::shared_ptr<Check> check) {
  const base::Duration interval = check->origin->check->interval;
  while (!check->cancellation.cancelled()) {
    co_await ask(check);
    rt::Wait pause(pool_.loop(), std::chrono::steady_clock::now() + interval, &check->cancellation);
    (void)co_await pause;
  }
  check->origin->state->health.unchecked();
}

rt::Task<void> HealthChecks::ask(std::shared_ptr<Check> check) {
  base::Duration timeout = check->origin->check->timeout;
  std::string head = check->provider->probe_head();
  http::ClientCall call(pool_, check->origin, {timeout, timeout, timeout});
  check->call = &call;
  auto sent = co_await call.send(head, "");
  int status = sent ? call.status() : 0;
  if (sent) (void)co_await call.read_all(kAnswerBytesMax);
  check->call = nullptr;
  if (check->cancellation.cancelled()) co_return;
  // Our own pool being full says nothing about the provider.
  if (!sent && sent.error().code == Errc::backpressure) co_return;
  note_check(*check->origin, sent && status < 500, sent ? fmt::format("answered {}", status) : sent.error().detail);
}

}  // namespace penstock::llm
