// One call to a language model: picks targets, retries and falls back as long as nothing reached the client, and hands
// over the answer that was won.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "flow/call.h"
#include "http/client.h"
#include "llm/failure.h"

namespace penstock::llm {

// The answer of one target. Destroying it early cancels the upstream.
class Answer {
 public:
  Answer(std::unique_ptr<http::ClientCall> call, const Target& target, const Request& request, flow::Call& context)
      : call_(std::move(call)), target_(target), request_(request), context_(context) {}

  bool streaming() const { return streaming_; }
  std::string_view content_type() const { return call_->fields().get("content-type"); }
  const std::string& body() const { return body_; }  // whole answers

  // The next event to forward, as the provider sent it; nothing at the proper end. Events that are only ours are left
  // out. An error when the stream was cut or timed out. Its bytes stay valid until the next call.
  rt::Task<Result<std::optional<wire::SseEvent>>> next_event();
  const Usage& usage() const { return usage_; }
  // The provider reported a failure within the stream; the event went to the client, who has to know.
  bool failed() const { return failed_; }
  // After the last event: takes what the upstream still sends to end its message, so that the connection can be used
  // again. Bounded to a second.
  rt::Task<void> settle();
  // Ends the upstream call; a wait in next_event() returns `cancelled`.
  void cancel() { call_->cancel(); }

 private:
  friend class Dispatch;
  rt::Task<Result<std::optional<wire::SseEvent>>> read_event();

  std::unique_ptr<http::ClientCall> call_;
  const Target& target_;
  const Request& request_;
  flow::Call& context_;
  wire::SseSplitter splitter_;
  std::optional<wire::SseEvent> held_;  // the first event, read before anything was promised to the client
  std::string body_;
  Usage usage_;
  bool streaming_ = false;
  bool done_ = false;
  bool failed_ = false;
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
  rt::Task<std::expected<void, Failure>> accept(Answer& answer);

  http::ClientPool& pool_;
  flow::Call& call_;
  std::shared_ptr<const Route> route_;
  const Request& request_;
  base::SteadyTime deadline_;  // of all attempts together
  http::ClientCall* running_ = nullptr;
};

}  // namespace penstock::llm
