#include "llm/pass_through.h"

#include "llm/ask.h"
#include "rt/wait.h"

namespace penstock::llm {

PassThrough::PassThrough(http::ClientPool& pool, flow::Call& call, std::shared_ptr<const Route> route, PassHead head)
    : pool_(pool),
      call_(call),
      route_(std::move(route)),
      head_(head),
      deadline_(pool.loop().now() + route_->timeouts.total) {}

PassThrough::~PassThrough() {
  quota::Now now{pool_.loop().now(), base::system_clock().wall()};
  if (used_.tokens > 0 || used_.cost != 0) hold_.settle(used_, now);
}

void PassThrough::bill(const Spent& spent) {
  auto cost = charge(call_, *target_, spent);
  used_.tokens += spent.usage.input + spent.usage.output;
  used_.cost = used_.cost && cost ? std::optional(*used_.cost + *cost) : std::nullopt;
}

void PassThrough::bill_unseen() {
  if (!upstream_ || !upstream_->sent() || !is_bounded(call_, *route_)) return;
  used_ = {call_.ask.tokens, charge_held(call_, *target_, call_.input_tokens, call_.ask.cost)};
}

rt::Task<void> PassThrough::pause(base::Duration delay) {
  rt::Wait wait(pool_.loop(), std::min(deadline_, std::chrono::steady_clock::now() + delay), &cancellation_);
  Waiting waiting(call_);
  (void)co_await wait;
}

void PassThrough::cancel() {
  cancellation_.cancel();
  if (upstream_) upstream_->cancel();
}

rt::Task<PassThrough::Outcome> PassThrough::try_targets(Attempt attempt) {
  Attempts attempts(*route_, pool_.loop().now());
  TargetHolds holds(call_, [this](const Target&) { return call_.ask.cost; });
  std::optional<Failure> last;
  while (true) {
    const Target* target = attempts.next(pool_.loop().now(), trial_);
    std::optional<TargetHold> hold;
    if (target == nullptr && !last && holds.denied())
      target = co_await holds.wait(hold.emplace(), deadline_, cancellation_);
    if (target == nullptr) break;
    for (int i = 0; i < route_->retry.attempts; ++i) {
      if (pool_.loop().now() >= deadline_) break;
      if (i > 0) co_await pause(backoff(i - 1));
      if (call_.exchange.client_gone() || pool_.loop().now() >= deadline_) break;
      if (!hold) hold = holds.take(*target);
      if (!hold) break;
      hold_ = std::move(*hold);
      hold.reset();
      ++call_.event.attempts;
      call_.event.target = target->label;
      target_ = target;
      auto done = co_await (this->*attempt)();
      if (done) co_return done;
      last = std::move(done.error());
      note_health(*target, &*last, pool_.loop().now());
      if (!worth_same_target(*route_, *last)) break;
    }
    if (last && !worth_next_target(*last)) break;
  }
  if (!last && holds.denied()) last = holds.failure();
  if (!last) last.emplace(Error{Errc::unavailable, "no target is configured"});
  co_return std::unexpected(std::move(*last));
}

// A fresh call to the target, and the head to send.
Result<std::string> PassThrough::open(std::optional<std::uint64_t> length, bool upgrade) {
  PassHead head = head_;
  head.body_bytes = length;
  std::shared_ptr<const http::Origin> origin = target_->provider->origin();
  if (upgrade && origin->for_upgrades) origin = origin->for_upgrades;
  upstream_ = std::make_unique<http::ClientCall>(pool_, std::move(origin), route_->timeouts, deadline_);
  return target_->provider->pass_through(head, call_.event.id.view());
}

rt::Task<PassThrough::Outcome> PassThrough::send(BodyFor body_for) {
  body_for_ = std::move(body_for);
  return try_targets(&PassThrough::attempt_whole);
}

rt::Task<PassThrough::Outcome> PassThrough::attempt_whole() {
  std::string body = body_for_(target_->model);
  auto head = open(body.size());
  if (!head) co_return std::unexpected(Failure(head.error(), obs::ErrorType::caller_bad_request));
  Result<void> sent;
  {
    Waiting waiting(call_);
    sent = co_await upstream_->send(*head, {std::string_view(body)});
  }
  if (!sent) co_return std::unexpected(transport_failure(*target_, sent.error()));
  co_return co_await accept();
}

rt::Task<PassThrough::Outcome> PassThrough::upgrade(BodyFor path_for) {
  body_for_ = std::move(path_for);
  return try_targets(&PassThrough::attempt_upgrade);
}

rt::Task<PassThrough::Outcome> PassThrough::attempt_upgrade() {
  std::string path = body_for_(target_->model);
  head_.path = path;
  auto head = open(std::nullopt, true);
  if (!head) co_return std::unexpected(Failure(head.error(), obs::ErrorType::caller_bad_request));
  upstream_->expect_upgrade();
  Result<void> sent;
  {
    Waiting waiting(call_);
    sent = co_await upstream_->send(*head, {});
  }
  if (!sent) co_return std::unexpected(transport_failure(*target_, sent.error()));
  if (upstream_->status() >= 200 && upstream_->status() <= 299) {
    co_return std::unexpected(target_failure(*target_, obs::ErrorType::provider_malformed, Errc::protocol_error,
                                             "answered a request for a WebSocket with something else"));
  }
  co_return co_await accept();
}

rt::Task<PassThrough::Outcome> PassThrough::start(BodyFor first_for, LengthFor length_for) {
  body_for_ = std::move(first_for);
  length_for_ = std::move(length_for);
  return try_targets(&PassThrough::attempt_start);
}

rt::Task<PassThrough::Outcome> PassThrough::attempt_start() {
  std::string first = body_for_(target_->model);
  std::optional<std::uint64_t> length = length_for_(target_->model);
  auto head = open(length);
  if (!head) co_return std::unexpected(Failure(head.error(), obs::ErrorType::caller_bad_request));
  Waiting waiting(call_);
  auto sent = co_await upstream_->start(*head, length);
  if (sent) sent = co_await upstream_->write(first);
  if (!sent) co_return std::unexpected(sending_failure(sent.error()));
  co_return Outcome{};
}

// The body's own defect is no news about the target.
Failure PassThrough::sending_failure(const Error& error) const {
  if (error.code == Errc::invalid_argument) return Failure(error, obs::ErrorType::caller_bad_request);
  return transport_failure(*target_, error);
}

// The same of a call that had begun, which nobody else tells the target's health about.
Failure PassThrough::broken(const Error& error) const {
  Failure failure = sending_failure(error);
  if (failure.type != obs::ErrorType::caller_bad_request) note_broken(*target_, error, pool_.loop().now());
  return failure;
}

void PassThrough::ended(const Error* error) {
  if (error == nullptr) {
    note_health(*target_, nullptr, pool_.loop().now());
  } else {
    note_broken(*target_, *error, pool_.loop().now());
  }
  trial_ = http::OriginHealth::Trial();
}

rt::Task<PassThrough::Outcome> PassThrough::write(std::string_view piece) {
  Waiting waiting(call_);
  auto sent = co_await upstream_->write(piece);
  if (!sent) co_return std::unexpected(broken(sent.error()));
  co_return Outcome{};
}

rt::Task<PassThrough::Outcome> PassThrough::finish() {
  Result<void> answered;
  {
    Waiting waiting(call_);
    answered = co_await upstream_->finish();
  }
  if (!answered) {
    co_return std::unexpected(broken(answered.error()));
  }
  auto accepted = co_await accept();
  if (!accepted) note_health(*target_, &accepted.error(), pool_.loop().now());
  co_return accepted;
}

rt::Task<PassThrough::Outcome> PassThrough::accept() {
  int status = upstream_->status();
  if (status == 101) ended(nullptr);
  if (status == 101 || (status >= 200 && status <= 299)) co_return Outcome{};
  Waiting waiting(call_);
  auto body = co_await upstream_->read_all(kErrorBytesMax);
  // An error page that is too long explains nothing; its status does.
  if (!body && body.error().code == Errc::out_of_range) body = std::string_view();
  if (!body) co_return std::unexpected(transport_failure(*target_, body.error()));
  co_return std::unexpected(status_failure(*target_, status, upstream_->fields(), std::string(*body)));
}

}  // namespace penstock::llm
