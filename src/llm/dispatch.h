// One call to a language model: picks targets, retries and falls back as long as nothing reached the client, and hands
// over the answer that was won.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "flow/call.h"
#include "http/client.h"
#include "llm/attempts.h"
#include "llm/failure.h"
#include "llm/target_health.h"

namespace penstock::llm {

// The answer of one target. Destroying it early cancels the upstream.
class Answer {
 public:
  Answer(http::ClientPool& pool, const Target& target, const Request& request, flow::Call& context,
         const http::ClientTimeouts& timeouts, base::SteadyTime deadline)
      : call_(pool, target.provider->origin(), timeouts, deadline),
        target_(target),
        request_(request),
        context_(context) {}

  bool streaming() const { return streaming_; }
  std::string_view content_type() const { return call_.fields().get(wire::FieldId::content_type); }
  std::string_view body() const { return body_; }  // whole answers; valid as long as the answer

  // The next event to forward, as the provider sent it, when it is at hand; nothing when it is not, or at the proper
  // end (ended()). Events that are only ours are left out. An error when the stream was cut. Its bytes stay valid until
  // the next call.
  Result<std::optional<wire::SseEvent>> next_event();
  bool ended() const { return done_ && !held_; }
  // Until next_event() has something to say. An error when the stream was cut or timed out.
  rt::Task<Result<void>> wait();
  const Usage& usage() const { return usage_; }
  // The provider reported a failure within the stream; the event went to the client, who has to know.
  bool failed() const { return failed_; }
  // After the last event: takes what the upstream still sends to end its message, so that the connection can be used
  // again. Bounded to a second.
  rt::Task<void> settle();
  // Ends the upstream call; a wait in next_event() returns `cancelled`.
  void cancel() { call_.cancel(); }

 private:
  friend class Dispatch;
  Result<std::optional<wire::SseEvent>> read_event();
  void tell_health(Outcome outcome, std::string_view why = {});
  void tell_broken(const Error& error);

  http::ClientCall call_;
  const Target& target_;
  const Request& request_;
  flow::Call& context_;
  http::OriginHealth::Trial trial_;
  wire::SseSplitter splitter_;
  std::optional<wire::SseEvent> held_;  // the first event, read before anything was promised to the client
  std::string_view body_;
  Usage usage_;
  bool accepted_ = false;  // won; what breaks from now on is told by next_event() and wait()
  bool streaming_ = false;
  bool done_ = false;
  bool failed_ = false;
  bool told_ = false;  // the target's health knows how it ended
};

class Dispatch {
 public:
  Dispatch(http::ClientPool& pool, flow::Call& call, std::shared_ptr<const Route> route, const Request& request);
  // Nothing else on the loop may use `call` meanwhile. A client that leaves cancels the upstream call at once.
  rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> run();
  // Ends what is under way; safe at any time on the loop.
  void cancel();

 private:
  rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> attempt(const Target& target);
  rt::Task<std::expected<void, Failure>> accept_stream(Answer& answer);
  std::expected<void, Failure> accept_whole(Answer& answer, std::string_view body);
  rt::Task<void> pause(base::Duration delay);

  http::ClientPool& pool_;
  flow::Call& call_;
  std::shared_ptr<const Route> route_;
  const Request& request_;
  base::SteadyTime deadline_;  // of all attempts together
  Answer* running_ = nullptr;
  rt::Cancellation cancellation_;
};

}  // namespace penstock::llm
