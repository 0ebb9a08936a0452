// HTTP/1.1 calls to upstreams, with a pool of kept connections per loop.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/tls.h"
#include "rt/task.h"
#include "wire/http1.h"

namespace penstock::http {

// Whom to call. Shared by every loop; immutable. The object's address is the pool's key, so that a configuration that
// keeps its origins keeps its connections.
struct Origin {
  net::Url url;
  std::shared_ptr<net::TlsContext> tls;  // for https
  base::Duration connect_timeout = std::chrono::seconds(5);
  std::size_t idle_connections_max = 256;  // kept per loop; more are closed after use
};

struct ClientTimeouts {
  base::Duration first_byte = std::chrono::seconds(60);  // from the request sent to the head of the answer
  base::Duration idle = std::chrono::seconds(60);        // between two pieces of the answer
  base::Duration total = std::chrono::minutes(10);       // all of it, from the start of the call
};

// The kept connections of one loop.
class ClientPool {
 public:
  explicit ClientPool(rt::Loop& loop);
  ~ClientPool();
  rt::Loop& loop() { return loop_; }
  // Closes the kept connections of origins nobody else holds any more.
  void prune();
  void close_all();
  std::size_t idle() const;

 private:
  friend class ClientCall;
  // Null when none is kept.
  std::unique_ptr<net::Stream> take(const Origin& origin);
  void keep(const std::shared_ptr<const Origin>& origin, std::unique_ptr<net::Stream> stream);
  void discard(const net::Stream* stream);

  struct Kept {
    std::shared_ptr<const Origin> origin;
    std::vector<std::unique_ptr<net::Stream>> idle;
  };
  rt::Loop& loop_;
  std::unordered_map<const Origin*, Kept> kept_;
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
};

}  // namespace penstock::http
