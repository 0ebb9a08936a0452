// One request and its answer, as a handler sees them, whatever the protocol version below. Lives on one loop.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/text.h"
#include "http/peer.h"
#include "rt/loop.h"
#include "rt/task.h"
#include "wire/http1.h"

namespace penstock::net {
class Stream;
}

namespace penstock::http {

using wire::Fields;

// The request line and fields. Views stay valid as long as the exchange.
struct Request {
  std::string_view method;
  std::string_view path;   // percent-encoding as sent; without the query
  std::string_view query;  // without the question mark
  const Fields* fields = nullptr;
  std::string_view field(wire::FieldId id) const { return fields->get(id); }
  std::string_view field(std::string_view name) const { return fields->get(name); }
};

// The value of one query parameter, percent-decoded; empty when absent.
std::string query_value(std::string_view query, std::string_view name);
// %41 becomes A; malformed escapes stay as they are.
std::string percent_decode(std::string_view text);

// Appends "name: value" CRLF; what would end the line inside the value becomes a space.
void append_field(std::string& lines, std::string_view name, std::string_view value);

// Status and fields of an answer, built as the bytes that go out. Content-Length, Transfer-Encoding, Connection and
// Date are added by the server.
class ResponseHead {
 public:
  explicit ResponseHead(int status) : status_(status) {}
  ResponseHead& add(std::string_view name, std::string_view value);
  ResponseHead& add(std::string_view name, std::int64_t value);
  // Whole lines out of pieces, each "name: value" CRLF: for several fields at once whose values are our own words.
  template <class... Pieces>
  ResponseHead& add_lines(const Pieces&... pieces) {
    base::append(*lines_, pieces...);
    return *this;
  }
  int status() const { return status_; }
  const std::string& lines() const { return *lines_; }

 private:
  int status_;
  base::RecycledString lines_;
};

// A connection that left HTTP behind. It is the exchange's: it ends when the handler returns.
struct Upgraded {
  net::Stream* stream = nullptr;
  std::string received;  // what came behind the request already
};

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  virtual const Peer& peer() const = 0;
  virtual rt::Loop& loop() = 0;
  // When the first byte of the request arrived.
  virtual base::SteadyTime started() const = 0;

  // The whole body, at most `bytes_max`. Valid until the answer has begun.
  // Errors: out_of_range (too large: answer 413), deadline_exceeded (408), invalid_argument (400), cancelled (gone).
  virtual rt::Task<Result<std::string_view>> read_body(std::uint64_t bytes_max) = 0;

  // The body in pieces, for what is too large to be held: the next piece, valid until the next call; empty at the end
  // of the body. Nothing is taken from the connection while nobody asks, which is the back-pressure. Not together with
  // read_body(). Errors as read_body(), where `bytes_max` bounds all pieces together.
  virtual rt::Task<Result<std::string_view>> read_piece(std::uint64_t bytes_max) = 0;
  // Fields that came behind the body, when it has been read to its end; without those that may not stand there.
  virtual const Fields& trailers() const = 0;
  // Ends a read_piece() under way with `cancelled`: somebody has an answer already.
  virtual void stop_reading() = 0;

  // The whole answer at once. Exactly one of respond() and begin() per exchange.
  virtual rt::Task<Result<void>> respond(ResponseHead head, std::string_view body) = 0;
  // An answer in pieces: begin(), then write() as often as needed, then finish(). The head goes out with what follows,
  // or with flush(). write() goes out at once; it returns when the client's connection has taken the bytes, which is
  // the back-pressure. append() adds a piece that goes out with the next write(), flush() or finish(): for pieces that
  // are there together, which cost one system call then; whoever appends must flush before it waits for more.
  virtual void begin(ResponseHead head) = 0;
  virtual void append(std::string_view bytes) = 0;
  virtual rt::Task<Result<void>> write(std::string_view bytes) = 0;
  virtual rt::Task<Result<void>> flush() = 0;
  virtual rt::Task<Result<void>> finish() = 0;
  // A field behind the body of an answer in pieces, before finish(). An HTTP/1.1 client gets it only when it said
  // `te: trailers`, an HTTP/1.0 client never.
  virtual void trailer(std::string_view name, std::string_view value) = 0;
  // Ends a begun answer so that the client can tell it was cut: the connection closes without the final chunk, or the
  // stream is reset.
  virtual void abort() = 0;
  virtual bool begun() const = 0;
  // Answers 101 with the fields of `head` (and the date, no others) and hands over the connection, instead of
  // respond() and begin(). Errors: unimplemented where a connection carries other exchanges too, failed_precondition
  // (an answer has begun, or the request has a body that was not read).
  virtual bool can_upgrade() const { return false; }
  virtual rt::Task<Result<Upgraded>> upgrade(ResponseHead head) {
    (void)head;
    return rt::Task<Result<Upgraded>>::ready(
        fail(Errc::unimplemented, "the protocol cannot be changed on this connection: use HTTP/1.1"));
  }
  // Bytes of answer bodies given to the connection so far.
  virtual std::uint64_t bytes_sent() const = 0;

  // The server is being drained: endless answers should end now.
  virtual bool draining() const = 0;
  // `notify` runs once on the loop when draining begins; empty forgets it.
  virtual void on_drain(std::function<void()> notify) { (void)notify; }
  // The client closed its connection or gave up the stream. `notify` runs once on the loop when that happens later, and
  // when the drain runs out of time while the client is still there: either way nobody waits for the rest. Empty
  // forgets it.
  virtual bool client_gone() const = 0;
  virtual void on_client_gone(std::function<void()> notify) = 0;
};

// Runs once per request. A handler that returns without an answer is answered 500 by the server.
using Handler = std::function<rt::Task<void>(Exchange&)>;

}  // namespace penstock::http
