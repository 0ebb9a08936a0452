// One call to a language model: picks targets, says the request in each one's dialect, retries and falls back as long
// as nothing reached the client, and hands over the answer that was won.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "flow/call.h"
#include "http/client.h"
#include "llm/ask.h"
#include "llm/attempts.h"
#include "llm/bill.h"
#include "llm/failure.h"
#include "llm/local_embeddings.h"
#include "llm/target_health.h"
#include "llm/target_hold.h"
#include "llm/translation.h"
#include "wire/lines.h"

namespace penstock::llm {

// The answer of one target, in the client's dialect. Destroying it early cancels the upstream.
class Answer {
 public:
  Answer(http::ClientPool& pool, const Target& target, const Request& request, flow::Call& context,
         const http::ClientTimeouts& timeouts, base::SteadyTime deadline)
      : call_(pool, target.provider->origin(), timeouts, deadline),
        target_(target),
        request_(request),
        context_(context) {}

  bool streaming() const { return streaming_; }
  const Target& target() const { return target_; }
  // It is what the target sent, in the client's dialect already.
  bool native() const { return !translation_ && translated_body_.empty(); }
  // Of a native stream, before the first next(): the data of the event that showed that there is an answer.
  std::string_view first_event() const {
    if (!opening_.empty()) return opening_.front().data;
    return held_ ? held_->data : std::string_view();
  }
  std::string_view content_type() const;
  // Whole answers; valid as long as the answer.
  std::string_view body() const { return translated_body_.empty() ? body_ : std::string_view(translated_body_); }
  // What the translation could not carry, by the client's names; empty when nothing, or when there was none.
  const std::string& dropped() const { return dropped_; }

  // What to forward next, whole events, when it is at hand; nothing when it is not, or at the proper end (ended()).
  // Events that are only ours are left out. An error when the stream was cut. Its bytes stay valid until the next call.
  Result<std::optional<std::string_view>> next();
  bool ended() const { return done_ && !held_; }
  // Until next() has something to say, or until `quiet`. An error when the stream was cut or timed out.
  rt::Task<Result<void>> wait(base::SteadyTime quiet = base::SteadyTime::max());
  const Usage& usage() const { return usage_; }
  // Tells the call, the target's accounts and its estimate what was used. Once; when it is known how the answer ended.
  // `whole`: it came to its proper end.
  void bill(bool whole);
  // The same of an attempt that failed: what the provider reported, and of one that was cut short by the client, that
  // it was asked. Under a hard budget, one that the client left or that timed out has used all that it holds.
  void bill_failure(obs::ErrorType why);
  // Events so far, and what they may have cost in tokens when the provider did not say it.
  std::uint32_t events() const { return translation_ ? translation_->pieces() : events_; }
  std::int64_t estimate_output() const;
  // What `usage()` leaves open, or reports as nonsense, estimated.
  // The provider reported a failure within the stream; the event went to the client, who has to know.
  bool failed() const { return failed_; }
  // The event that tells the client that the rest will not come; empty when the dialect has none.
  std::string break_off(const Error& error);
  // What keeps a quiet stream open; empty when the dialect has no such thing.
  std::string_view keep_alive() const;
  // Somebody had work with it.
  bool was_asked() const { return asked_here_ || call_.sent(); }
  // After the last event: takes what the upstream still sends to end its message, so that the connection can be used
  // again. Bounded to a second.
  rt::Task<void> settle();
  // Ends the upstream call; a wait returns `cancelled`.
  void cancel() { call_.cancel(); }

 private:
  friend class Dispatch;
  Result<std::optional<wire::SseEvent>> read_event();
  std::optional<wire::SseEvent> next_piece();
  std::optional<wire::SseEvent> last_piece();
  Result<bool> translate_available();
  Result<std::optional<std::string_view>> next_native();
  Result<std::optional<std::string_view>> next_translated();
  std::string_view framed(const wire::SseEvent& event);
  Spent spent(bool whole) const;
  std::int64_t estimate_body() const;
  void settle_hold(const Spent& spent);
  void settle_hold(const quota::Used& used);
  void note_tier(std::string_view json);
  void tell_health(Outcome outcome, std::string_view why = {});
  void tell_broken(const Error& error);

  http::ClientCall call_;
  const Target& target_;
  const Request& request_;
  flow::Call& context_;
  http::OriginHealth::Trial trial_;
  TargetHold hold_;  // on the target's accounts
  wire::SseSplitter splitter_;
  wire::LineSplitter lines_;
  // What was read before anything was promised to the client: events that only open the answer, and the first other.
  struct Opening {
    std::string raw;
    std::string data;
  };
  std::vector<Opening> opening_;
  std::size_t opened_ = 0;  // of these, given by next()
  std::optional<wire::SseEvent> held_;
  std::unique_ptr<Translation> translation_;
  std::string given_;            // by next()
  std::string translated_body_;  // by body()
  std::string dropped_;
  std::string_view body_;
  std::string tier_;  // as the provider names what served it (served_tier())
  Usage usage_;
  std::uint32_t events_ = 0;
  std::uint64_t event_bytes_ = 0;
  bool accepted_ = false;  // won; what breaks from now on is told by next() and wait()
  bool streaming_ = false;
  bool done_ = false;
  bool marked_ = false;  // the end mark was seen: whatever stands behind it is nobody's
  bool closed_ = false;  // the array of a native stream
  bool failed_ = false;
  bool told_ = false;  // the target's health knows how it ended
  bool billed_ = false;
  bool asked_here_ = false;  // a model of this process, which made the answer
};

class Dispatch {
 public:
  // `request` is told for each attempt what its target may answer at most. `local` answers for targets in this process;
  // null: there are none.
  Dispatch(http::ClientPool& pool, flow::Call& call, std::shared_ptr<const Route> route, Request& request,
           LocalEmbeddings* local = nullptr);
  // Nothing else on the loop may use `call` meanwhile. A client that leaves cancels the upstream call at once.
  rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> run();
  // Ends what is under way; safe at any time on the loop.
  void cancel();

 private:
  rt::Task<std::expected<void, Failure>> attempt(Answer& answer);
  rt::Task<std::expected<void, Failure>> attempt_local(Answer& answer);
  // The target takes the request in the dialect it came in.
  bool native(const Target& target) const;
  // The request as the target wants it. `answer` learns what could not be carried, how to read the stream, and for
  // counts that nobody upstream can make, the answer itself.
  std::expected<UpstreamRequest, Failure> encode(const Target& target, Answer& answer);
  std::expected<UpstreamRequest, Failure> translate(const Target& target, Answer& answer);
  std::expected<UpstreamRequest, Failure> translate_chat(const Target& target, Answer& answer);
  std::expected<UpstreamRequest, Failure> translate_count(const Target& target, Answer& answer);
  std::expected<UpstreamRequest, Failure> translate_embeddings(const Target& target, Answer& answer);
  Result<void> read_canonical();
  void bound(const Target& target);
  bool worth_paying_again() const;
  rt::Task<std::expected<void, Failure>> accept_stream(Answer& answer);
  rt::Task<std::expected<void, Failure>> accept_translated(Answer& answer);
  std::expected<void, Failure> accept_whole(Answer& answer, std::string_view body);
  std::expected<void, Failure> translate_whole(Answer& answer, std::string_view body);
  rt::Task<void> pause(base::Duration delay);

  http::ClientPool& pool_;
  flow::Call& call_;
  std::shared_ptr<const Route> route_;
  Request& request_;
  std::int64_t output_most_;  // whichever target is asked
  // Once a target needs them: what is not translated pays nothing for them.
  std::shared_ptr<chat::Request> canonical_;
  std::optional<std::int64_t> wished_output_;  // by canonical_, before it was bounded for a target
  chat::Reasoning wished_reasoning_;
  std::unique_ptr<const chat::EmbeddingsRequest> canonical_embeddings_;
  base::SteadyTime deadline_;  // of all attempts together
  Answer* running_ = nullptr;
  LocalEmbeddings* local_;
  std::stop_source stop_;  // of what runs in this process
  rt::Cancellation cancellation_;
};

}  // namespace penstock::llm
