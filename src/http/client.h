// Calls to upstreams, in HTTP/1.1 or HTTP/2: the pool finds out which, and callers need not know.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/body_decoder.h"
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

// One call: send() once, then read() until it returns an empty piece. Destroying it early closes the connection (or
// ends its stream on a shared one), which is how an upstream learns that nobody wants its answer any more.
class ClientCall {
 public:
  // `deadline` bounds the call together with timeouts.total: for calls that are part of something larger.
  ClientCall(ClientPool& pool, std::shared_ptr<const Origin> origin, ClientTimeouts timeouts,
             base::SteadyTime deadline = base::SteadyTime::max());
  ~ClientCall();
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

  // Sends the request and waits for the head of the answer. `head` is the request line and all fields but the empty
  // line at the end, as HTTP/1.1 writes them. A kept connection that turns out to be closed before it answered anything
  // is replaced once, and so is one that refuses to begin with the request.
  // Errors: unavailable (connect, reset), deadline_exceeded, protocol_error, cancelled, backpressure (no connection is
  // free).
  rt::Task<Result<void>> send(std::string_view head, net::Pieces body);

  // The same for a body that comes in pieces: start(), write() as often as needed, finish(). Always on a connection (or
  // stream) of its own, and never sent again. `length`: the body's, as the head says it; nothing: the head says
  // `transfer-encoding: chunked`.
  rt::Task<Result<void>> start(std::string_view head, std::optional<std::uint64_t> length);
  // Returns when the upstream's connection has taken the piece, which is the back-pressure, or when answered() turned
  // true: then nobody wants the rest. Bounded by timeouts.idle. invalid_argument, and nothing is sent, when the body
  // would get longer than its length.
  rt::Task<Result<void>> write(std::string_view piece);
  // The body ended: waits for the head of the answer. Also right after answered(). invalid_argument when the body is
  // shorter than its length: the upstream would wait for the rest, and take the next request for it.
  rt::Task<Result<void>> finish();
  // The upstream answered, or failed, before it had all of the body. `notify` runs once when that happens.
  bool answered() const { return early_; }
  void on_answered(std::function<void()> notify) { notify_answered_ = std::move(notify); }

  // The request asks for another protocol: 101 is an answer then, and take_upgraded() gives the connection with what
  // came behind the answer. Before send(), to an origin that speaks HTTP/1.1 alone.
  void expect_upgrade() { upgrade_wanted_ = true; }
  std::pair<PooledStream, std::string> take_upgraded();

  // The answer's body says nothing about its length: it ends where the connection does, also when that is a cut.
  bool ends_with_connection() const { return h2() == nullptr && state_->parser.ends_with_stream(); }
  int status() const { return h2() != nullptr ? h2()->status() : state_->parser.head().status; }
  const wire::Fields& fields() const { return h2() != nullptr ? h2()->fields() : state_->parser.head().fields; }
  // What came behind the body; complete once read() has returned the end.
  const wire::Fields& trailers() const { return h2() != nullptr ? h2()->trailers() : state_->parser.trailers(); }

  // The next piece of the body, without the content codings it may have come in although none was asked for; valid
  // until the next read; empty at its proper end. data_loss when it was cut short.
  rt::Task<Result<std::string_view>> read();
  // The next piece when it is at hand, empty at the proper end; nothing when read() would have to wait.
  std::optional<Result<std::string_view>> read_now();
  // Until read_now() has something to say, or until `quiet`, whichever is first: a caller with something to do
  // meanwhile comes back and waits on. timeouts.idle counts from the last piece all the same.
  rt::Task<Result<void>> wait(base::SteadyTime quiet = base::SteadyTime::max());
  // All of the rest; valid as long as the call. out_of_range beyond `bytes_max`.
  rt::Task<Result<std::string_view>> read_all(std::size_t bytes_max);

  // Ends the call from elsewhere on the loop, whatever it waits for (a place, the name, the connection, the answer):
  // what is awaited returns `cancelled`.
  void cancel();
  bool cancelled() const { return cancellation_.cancelled(); }
  // True once a byte of the request may have reached the upstream.
  bool sent() const { return sent_; }

 private:
  // As much of a coded answer is decoded ahead of whoever reads it: a few bytes may decode to gigabytes.
  static constexpr std::size_t kDecodedBytesMax = 1U << 20;

  // What a call needs beside its connection; kept by the thread for the next call.
  struct State {
    State();
    wire::Http1Parser parser;
    std::string body;     // decoded and not yet taken
    bool excess = false;  // the other side said more than its answer: its connection cannot be used again
    bool taken = false;   // `body` was given out by read()
  };
  static std::vector<std::unique_ptr<State>>& spare_states();

  // Null where HTTP/1.1 is spoken.
  H2Call* h2() const { return stream_.multiplexed(); }
  rt::Task<Result<void>> exchange_heads(std::string_view head, net::Pieces body);
  rt::Task<Result<void>> exchange_heads_h2(H2Call* call, std::string_view head, net::Pieces body);
  rt::Task<Result<void>> write_h2(H2Call* call, std::string_view piece, bool more);
  rt::Task<Result<void>> head_of_answer(base::SteadyTime deadline);
  Result<bool> take_available_h2(H2Call& call);
  bool worth_repeating(const Error& error);
  rt::Task<Result<std::string_view>> read_slowly();
  rt::Task<Result<std::string_view>> read_all_slowly(std::size_t bytes_max);
  Result<void> feed(std::string_view bytes);
  Result<bool> take_available();
  Result<std::string_view> whole_body(std::size_t bytes_max);
  Result<void> start_decoding();
  Result<void> decode(std::size_t body_bytes_max);
  Result<void> pass_over_interim();
  // Nothing more of the answer's body is to come.
  bool ended() const { return message_done() && !undecoded_; }
  bool message_done() const { return h2() != nullptr ? h2_done_ : state_->parser.message_done(); }
  bool head_done() const { return h2() != nullptr ? head_seen_ : state_->parser.head_done(); }
  void take_early();
  Result<bool> take_early_head();
  void release();

  ClientPool& pool_;
  std::shared_ptr<const Origin> origin_;
  ClientTimeouts timeouts_;
  base::SteadyTime total_deadline_;
  std::optional<base::SteadyTime> idle_until_;  // since a wait began that is not over
  PooledStream stream_;
  std::unique_ptr<State> state_;
  rt::Cancellation cancellation_;
  bool answering_ = false;  // something came back, if only an interim answer
  bool replaced_ = false;   // a stale connection, once
  int goodbyes_ = 0;        // connections that left before they began with the request
  bool h2_done_ = false;    // all of the answer was taken from its stream
  bool sent_ = false;
  bool head_seen_ = false;
  bool head_only_ = false;  // the request was HEAD
  bool upgrade_wanted_ = false;
  int interim_ = 0;  // 1xx answers so far
  // Of coded answers:
  std::unique_ptr<codec::BodyDecoder> decoder_;
  std::string coded_;       // received and not yet decoded
  bool undecoded_ = false;  // there may be more to decode before more is received
  // Of bodies in pieces:
  bool chunked_ = false;
  std::uint64_t unsent_ = 0;  // of the length the head says
  bool body_open_ = false;    // the request is not all sent, so its connection is of no use to another
  bool early_ = false;
  Result<void> early_result_;
  std::function<void()> notify_answered_;
};

}  // namespace penstock::http
