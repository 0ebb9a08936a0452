// HTTP/1.1 calls to upstreams.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/client_pool.h"
#include "net/stream.h"
#include "rt/task.h"
#include "wire/http1.h"

namespace penstock::http {

struct ClientTimeouts {
  base::Duration first_byte = std::chrono::seconds(60);  // from the request sent to the head of the answer
  base::Duration idle = std::chrono::seconds(60);        // between two pieces of the answer
  base::Duration total = std::chrono::minutes(10);       // all of it, from the start of the call
};

// One call: send() once, then read() until it returns an empty piece. Destroying it early closes the connection, which
// is how an upstream learns that nobody wants its answer any more.
class ClientCall {
 public:
  // `deadline` bounds the call together with timeouts.total: for calls that are part of something larger.
  ClientCall(ClientPool& pool, std::shared_ptr<const Origin> origin, ClientTimeouts timeouts,
             base::SteadyTime deadline = base::SteadyTime::max());
  ~ClientCall();
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

  // Sends the request and waits for the head of the answer. `head` is the request line and all fields but the empty
  // line at the end. A kept connection that turns out to be closed before it answered anything is replaced once.
  // Errors: unavailable (connect, reset), deadline_exceeded, protocol_error, cancelled.
  rt::Task<Result<void>> send(std::string_view head, std::string_view body);

  // The same for a body that comes in pieces: start(), write() as often as needed, finish(). Always on a connection of
  // its own, and never sent again. `chunked`: the head says `transfer-encoding: chunked`, not a length.
  rt::Task<Result<void>> start(std::string_view head, bool chunked);
  // Returns when the upstream's connection has taken the piece, which is the back-pressure, or when answered() turned
  // true: then nobody wants the rest. Bounded by timeouts.idle.
  rt::Task<Result<void>> write(std::string_view piece);
  // The body ended: waits for the head of the answer. Also right after answered().
  rt::Task<Result<void>> finish();
  // The upstream answered, or failed, before it had all of the body. `notify` runs once when that happens.
  bool answered() const { return early_; }
  void on_answered(std::function<void()> notify) { notify_answered_ = std::move(notify); }

  int status() const { return parser_.head().status; }
  const wire::Fields& fields() const { return parser_.head().fields; }

  // The next piece of the body, valid until the next read; empty at its proper end. data_loss when it was cut short.
  rt::Task<Result<std::string_view>> read();
  // All of the rest. out_of_range beyond `bytes_max`.
  rt::Task<Result<std::string>> read_all(std::size_t bytes_max);

  // Ends the call from elsewhere on the loop: what is awaited returns `cancelled`.
  void cancel();
  bool cancelled() const { return cancelled_; }
  // True once a byte of the request may have reached the upstream.
  bool sent() const { return sent_; }

 private:
  rt::Task<Result<void>> connect();
  rt::Task<Result<void>> exchange_heads(std::string_view head, std::string_view body);
  // Waits for bytes and feeds them to the parser.
  rt::Task<Result<void>> receive(base::SteadyTime deadline);
  rt::Task<Result<void>> receive_head(base::SteadyTime deadline);
  void take_early();
  Result<bool> take_early_bytes();
  void release();

  ClientPool& pool_;
  std::shared_ptr<const Origin> origin_;
  ClientTimeouts timeouts_;
  base::SteadyTime total_deadline_;
  std::unique_ptr<net::Stream> stream_;
  wire::Http1Parser parser_;
  std::string input_;  // received beyond what the parser took
  std::string body_;
  bool reused_ = false;
  bool cancelled_ = false;
  bool sent_ = false;
  // Of bodies in pieces:
  bool chunked_ = false;
  bool body_open_ = false;  // the request is not all sent, so its connection is of no use to another
  bool early_ = false;
  Result<void> early_result_;
  std::function<void()> notify_answered_;
};

}  // namespace penstock::http
