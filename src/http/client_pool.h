// The connections of one loop to its origins: made, kept, counted and bounded.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "http/h2_upstream.h"
#include "http/origin.h"
#include "net/stream.h"
#include "rt/task.h"
#include "rt/wait.h"

namespace penstock::http {

class ClientPool;

// What a call speaks through: a connection in its hands alone (HTTP/1.1), which ends when this is destroyed unless it
// is handed to ClientPool::keep() to be used again; or its stream on a connection it shares with others (HTTP/2).
class PooledStream {
 public:
  PooledStream();
  PooledStream(PooledStream&&) noexcept;
  PooledStream& operator=(PooledStream&&) noexcept;
  ~PooledStream();
  explicit operator bool() const { return connection_ != nullptr || shared_ != nullptr; }
  // The connection that is this call's alone, or null.
  net::Stream* operator->() const { return stream_; }
  net::Stream* get() const { return stream_; }
  // The stream on a shared connection, or null.
  H2Call* multiplexed() const { return shared_.get(); }
  void reset() { *this = PooledStream(); }
  // It was used before: the other side may have closed it without our knowing.
  bool reused() const;

 private:
  friend class ClientPool;
  struct Connection;
  explicit PooledStream(std::unique_ptr<Connection> connection);
  explicit PooledStream(std::unique_ptr<H2Call> shared);
  std::unique_ptr<Connection> connection_;
  net::Stream* stream_ = nullptr;
  std::unique_ptr<H2Call> shared_;
};

// Lives on one loop, longer than the streams it gave out.
class ClientPool {
 public:
  explicit ClientPool(rt::Loop& loop);
  ~ClientPool();
  ClientPool(const ClientPool&) = delete;
  ClientPool& operator=(const ClientPool&) = delete;
  rt::Loop& loop() { return loop_; }

  // What for: a call that changes the protocol needs a connection of its own, and so HTTP/1.1.
  enum class Use { any, alone };

  // A stream on a connection that has room for one more, or a kept connection, the one used last first: it is the least
  // likely to have been closed by the other side. Empty when there is none, or none that is quiet: one that said
  // something while nobody had asked is not asked again.
  PooledStream take(const std::shared_ptr<const Origin>& origin, Use use = Use::any);
  // A new connection, up to and with the TLS handshake; the origin's connect_timeout and `deadline` bound it. When as
  // many as allowed are open, waits in line for a free one, which then may be a used one. Where HTTP/2 is spoken, a
  // stream on a connection with room; calls that find one being made wait for that one.
  // Errors: those of net::connect; backpressure when the line is full or the wait took longer than connect_timeout.
  rt::Task<Result<PooledStream>> open(std::shared_ptr<const Origin> origin, base::SteadyTime deadline,
                                      rt::Cancellation* cancellation, Use use = Use::any);
  // At a clean border between two messages: for the next who waits, or kept for later.
  void keep(PooledStream stream);

  // Closes the kept connections of all origins but these, and forgets the others once nobody calls them.
  void prune(std::span<const std::shared_ptr<const Origin>> wanted);
  void close_all();
  std::size_t idle() const;

 private:
  friend class PooledStream;
  struct Slot;
  struct Waiter;
  class Place;
  Slot* find(const Origin& origin) const;
  Slot& slot_of(const std::shared_ptr<const Origin>& origin);
  rt::Task<Result<PooledStream>> place_in_line(Slot& slot, base::SteadyTime deadline, rt::Cancellation* cancellation,
                                               Use use, Place& place);
  rt::Task<Result<PooledStream>> connect(Slot& slot, Place& place, base::SteadyTime deadline,
                                         rt::Cancellation* cancellation, Use use);
  void on_hang_up(PooledStream::Connection& connection);
  void sweep(Slot& slot);

  rt::Loop& loop_;
  std::vector<std::unique_ptr<Slot>> slots_;                        // by the origin's index
  std::vector<std::unique_ptr<PooledStream::Connection>> leaving_;  // closed once their own callback has returned
};

}  // namespace penstock::http
