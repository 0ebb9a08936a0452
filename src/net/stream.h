// One connected byte stream, plain or TLS, on one loop. One reader and one writer at a time. Every wait ends: by bytes,
// by the end of the stream, by the deadline, or by close().
#pragma once

#include <sys/uio.h>

#include <array>
#include <concepts>
#include <coroutine>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/tls.h"
#include "net/tls_figures.h"
#include "rt/loop.h"
#include "rt/task.h"

struct ssl_st;

namespace penstock::net {

// Bytes in a few places that go out together, in order. Views only: the bytes stay where they are.
class Pieces {
 public:
  static constexpr std::size_t kMax = 10;
  Pieces() = default;
  Pieces(std::convertible_to<std::string_view> auto const&... pieces) {
    (add(std::string_view(pieces)), ...);
  }  // NOLINT(google-explicit-constructor)
  // Empty pieces are left out. At most kMax.
  void add(std::string_view piece) {
    if (!piece.empty()) items_[count_++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  void add(const Pieces& more) {
    for (const iovec& piece : more.items()) items_[count_++] = piece;
  }
  // All of it in one string.
  std::string joined() const {
    std::string text;
    for (const iovec& piece : items()) text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    return text;
  }
  std::span<const iovec> items() const { return std::span(items_).first(count_); }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const iovec& piece : items()) sum += piece.iov_len;
    return sum;
  }

 private:
  friend class Stream;
  std::array<iovec, kMax> items_;
  std::size_t count_ = 0;
};

class Stream : private rt::Listener {
 public:
  // Takes the connected, non-blocking socket.
  Stream(rt::Loop& loop, int fd);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  class Read;
  class Write;

  // co_await read(buffer): at least one byte, or 0 at the end of the stream.
  // Errors: cancelled (closed here), deadline_exceeded, unavailable (reset; TLS with a certificate of ours that the
  // other side does not want), protocol_error (TLS).
  Read read(std::span<char> buffer);
  // co_await write({a, b, c}): all bytes of all pieces, in order, with one system call where the socket takes them.
  // The bytes must stay until it returns. A caller that needs no coroutine for what goes out at once asks the awaiter's
  // await_ready() itself.
  Write write(const Pieces& pieces);

  // co_await readable(): bytes or the end are there to be taken with read_now(). The pair needs no buffer while
  // waiting, so that an idle connection costs none.
  Read readable();
  // A read now would find something, as far as was announced.
  bool readable_now() const { return readable_ && fd_ >= 0; }
  // Nothing is there to be read and the peer is still there, as far as the loop has told: what a kept connection must
  // be before it is used again. Looks at the socket only when something was announced.
  bool quiet();
  // At least one byte, 0 at the end, or Errc::backpressure when nothing is there after all.
  Result<std::size_t> read_now(std::span<char> buffer) { return try_read(buffer); }
  // The same without taking the bytes, and before TLS only. When they are not enough, readable() waits for more.
  Result<std::size_t> peek_now(std::span<char> buffer);
  // Forgets the first `bytes` of what was peeked at.
  void take_peeked(std::size_t bytes);

  // TLS handshake; call once, before the first read or write. `host` is the name to verify and to send (SNI);
  // `session`, when given, is tried first and outlives the stream. Counted in tls_figures.h. Errors: deadline_exceeded;
  // cancelled; unavailable: the other side went away, and for clients whatever is wrong with the server;
  // protocol_error.
  rt::Task<Result<void>> start_tls_client(std::shared_ptr<TlsContext> context, std::string host,
                                          TlsSession* session = nullptr);
  rt::Task<Result<void>> start_tls_server(std::shared_ptr<TlsContext> context);

  // Reads and writes fail with deadline_exceeded once the loop's time passes `when`. Setting it costs nothing per call:
  // one timer per stream follows lazily.
  void set_deadline(base::SteadyTime when);
  // The same for writes to somebody who may be slow: `patience` from now and from every byte taken, `latest` at most.
  void set_write_deadline(base::Duration patience, base::SteadyTime latest = base::SteadyTime::max());
  void clear_deadline() { deadline_ = base::SteadyTime::max(); }

  // The peer closed its side or reset. `notify` is called once, from the loop, when that happens later; an empty
  // function forgets an earlier one.
  bool hung_up() const { return hung_up_; }
  void on_hang_up(std::function<void()> notify) { notify_hang_up_ = std::move(notify); }
  // Tells whoever waits for the peer to hang up, though it has not: the connection stays.
  void give_up();

  // The TLS handshake was a short one, with a session kept from an earlier connection.
  bool tls_resumed() const;
  // What the handshake settled, put together anew by each call; empty without TLS.
  TlsFacts tls_facts() const;
  // The protocol chosen by ALPN, empty for none. Valid as long as the stream.
  std::string_view alpn() const;
  // Why the handshake failed.
  TlsFailure tls_failure() const { return tls_failure_; }
  // After a failed handshake: from here on bytes pass as they are.
  void drop_tls();
  // Ends a wait in read() or readable(), or in write(), with `cancelled`; the stream stays open. After a cancelled
  // write nobody knows how much of it went out.
  void cancel_read();
  void cancel_write();
  // `notify` is called, from the loop, whenever bytes or the end arrive while nobody reads; an empty function forgets
  // an earlier one. It must not destroy the stream.
  void on_readable(std::function<void()> notify) { notify_readable_ = std::move(notify); }
  // For writers that are no coroutines: as many of `bytes` as the socket has room for, or Errc::backpressure when it
  // has none, and then on_writable()'s `notify` runs when there is. What was not taken must be offered again, as TLS
  // may have begun with it. Not together with write(). `notify` must not destroy the stream.
  Result<std::size_t> write_now(std::string_view bytes);
  void on_writable(std::function<void()> notify) { notify_writable_ = std::move(notify); }

  // Says goodbye in our direction; the peer may still send.
  void shutdown_write();
  // Ends every wait with `cancelled`. Idempotent.
  void close();
  // The same from outside the stream's own task: also tells whoever waits for the peer to hang up.
  void cut();
  bool closed() const { return fd_ < 0; }
  rt::Loop& loop() { return loop_; }

 private:
  friend class Read;
  friend class Write;
  // Bytes moved, 0 at the end (reading), or an error; would_block is Errc::backpressure, never shown outside.
  Result<std::size_t> try_read(std::span<char> buffer);
  Result<std::size_t> try_write(std::span<iovec> pieces);
  Result<std::size_t> tls_result(int result);
  rt::Task<Result<void>> handshake(TlsSide side);
  rt::Task<Result<void>> shake_hands();
  void on_ready(bool readable, bool writable, bool hang_up) override;
  void watch_deadline();
  void on_deadline();
  void fail_waiters(const Error& error);

  rt::Loop& loop_;
  int fd_;
  ssl_st* ssl_ = nullptr;
  std::shared_ptr<TlsContext> tls_;
  TlsFailure tls_failure_ = TlsFailure::none;
  bool readable_ = false;
  bool writable_ = true;
  bool hung_up_ = false;
  Read* reader_ = nullptr;
  Write* writer_ = nullptr;
  std::function<void()> notify_hang_up_;
  std::function<void()> notify_readable_;
  std::function<void()> notify_writable_;
  base::SteadyTime deadline_ = base::SteadyTime::max();
  base::Duration write_patience_{};  // above zero: what is left of a write renews the deadline
  base::SteadyTime write_latest_{};
  rt::Timer deadline_timer_;
};

class Stream::Read {
 public:
  enum class Until { bytes, readable, any_event };
  Read(Stream& stream, std::span<char> buffer, Until until) : stream_(stream), buffer_(buffer), until_(until) {}
  bool await_ready();
  void await_suspend(std::coroutine_handle<> handle);
  Result<std::size_t> await_resume() { return std::move(result_); }

 private:
  friend class Stream;
  Stream& stream_;
  std::span<char> buffer_;
  Until until_;
  std::coroutine_handle<> handle_;
  Result<std::size_t> result_ = 0;
};

class Stream::Write : private rt::Send {
 public:
  Write(Stream& stream, const Pieces& pieces) : stream_(stream), pieces_(pieces) {}
  Write(const Write& other) : rt::Send(), stream_(other.stream_), pieces_(other.pieces_), first_(other.first_) {}
  // What is still to go out.
  std::size_t bytes() const;
  bool await_ready();
  void await_suspend(std::coroutine_handle<> handle);
  Result<void> await_resume() { return std::move(result_); }

 private:
  friend class Stream;
  // True when finished, well or not.
  bool advance();
  // Notes that `bytes` went out; true when that was all.
  bool consume(std::size_t bytes);
  bool batched() const;
  void sent(ssize_t result) override;
  Stream& stream_;
  Pieces pieces_;
  std::size_t first_ = 0;
  bool queued_ = false;  // waits for the end of the loop's turn
  std::coroutine_handle<> handle_;
  Result<void> result_;
};

inline Stream::Read Stream::read(std::span<char> buffer) { return {*this, buffer, Read::Until::bytes}; }
inline Stream::Read Stream::readable() { return {*this, {}, Read::Until::readable}; }
inline Stream::Write Stream::write(const Pieces& pieces) { return {*this, pieces}; }

}  // namespace penstock::net
