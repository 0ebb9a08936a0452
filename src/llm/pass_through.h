// One call whose body goes to a provider, and whose answer comes back, without being understood. Whole bodies are
// retried and fall back as Dispatch does it; a body in pieces only until its first bytes went out.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "llm/attempts.h"
#include "llm/bill.h"
#include "llm/failure.h"
#include "llm/target_hold.h"

namespace penstock::llm {

class PassThrough {
 public:
  using Outcome = std::expected<void, Failure>;
  // The body for a target whose own name for the model is given.
  using BodyFor = std::function<std::string(std::string_view model)>;
  // The length of all of it for such a target; nothing when that is not known, which means chunks.
  using LengthFor = std::function<std::optional<std::uint64_t>(std::string_view model)>;

  // `head` without its length; what it refers to must stay. Nothing else on the loop may use `call` meanwhile.
  PassThrough(http::ClientPool& pool, flow::Call& call, std::shared_ptr<const Route> route, PassHead head);
  ~PassThrough();

  // Sends a whole body (or none, when the head says so) and waits for the head of a successful answer.
  rt::Task<Outcome> send(BodyFor body_for);

  // Without a body: asks every target for another protocol, under the path (as in PassHead) for its own name of the
  // model, until one answers 101. `head` has the fields that ask.
  rt::Task<Outcome> upgrade(BodyFor path_for);

  // The same in pieces: start() with the bytes at hand, write() until the body ends or answered() says that nobody
  // wants more of it, then finish(), which waits for the head of a successful answer.
  rt::Task<Outcome> start(BodyFor first_for, LengthFor length_for);
  rt::Task<Outcome> write(std::string_view piece);
  rt::Task<Outcome> finish();
  bool answered() const { return upstream_->answered(); }
  void on_answered(std::function<void()> notify) { upstream_->on_answered(std::move(notify)); }

  // After start() or send(). The answer's head, and its body by read().
  const Target& target() const { return *target_; }
  http::ClientCall& answer() { return *upstream_; }
  // What the answer used, for the call and for the target's accounts: also several times, when it goes on for long.
  void bill(const Spent& spent);
  // Instead of it, when the client left or the provider was too slow: its answer was not seen. Under a hard budget the
  // call has used what it holds then.
  void bill_unseen();
  // For the target's health: the answer was read to its end (null), or how it broke.
  void ended(const Error* error);
  // Ends what is under way; safe at any time on the loop.
  void cancel();

 private:
  using Attempt = rt::Task<Outcome> (PassThrough::*)();
  rt::Task<void> pause(base::Duration delay);
  rt::Task<Outcome> try_targets(Attempt attempt);
  rt::Task<Outcome> attempt_whole();
  rt::Task<Outcome> attempt_start();
  rt::Task<Outcome> attempt_upgrade();
  rt::Task<Outcome> accept();
  Failure sending_failure(const Error& error) const;
  Failure broken(const Error& error) const;
  Result<std::string> open(std::optional<std::uint64_t> length, bool upgrade = false);

  http::ClientPool& pool_;
  flow::Call& call_;
  std::shared_ptr<const Route> route_;
  PassHead head_;
  base::SteadyTime deadline_;  // of all attempts together
  rt::Cancellation cancellation_;
  BodyFor body_for_;
  LengthFor length_for_;
  const Target* target_ = nullptr;
  http::OriginHealth::Trial trial_;
  TargetHold hold_;
  quota::Used used_;
  std::unique_ptr<http::ClientCall> upstream_;
};

}  // namespace penstock::llm
