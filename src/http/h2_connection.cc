#include "http/h2_connection.h"

#include "http/h2_exchange.h"
#include "http/read_scratch.h"

namespace penstock::http {
namespace {

// Handed to the socket at once; what streams have beyond it waits with them.
constexpr std::size_t kOutputBytes = 64 * 1024;
// Answers to PINGs, resets and the like that wait because the client does not read: with more, nothing is read from it.
constexpr std::size_t kQueuedMax = 64;
// After the session ended the client may have much under way: 16 MiB or a second of it, whichever ends first.
constexpr std::size_t kLingerBytesMax = 16U << 20;
constexpr base::Duration kFarewell = std::chrono::seconds(1);
// A client that does not answer the PING of a drain gets no longer than this for requests it sent before it knew.
constexpr base::Duration kLastCallAfter = std::chrono::seconds(1);

wire::H2Limits limits_of(const ServerLimits& limits) {
  wire::H2Limits result;
  result.streams_max = limits.h2_streams_max;
  result.header_list_bytes_max = static_cast<std::uint32_t>(limits.message.head_bytes_max);
  result.fields_max = static_cast<std::uint32_t>(limits.message.fields_max);
  return result;
}

}  // namespace

struct H2Connection::Turn {
  H2Connection& connection;
  bool await_ready() const noexcept { return connection.stopped_; }
  void await_suspend(std::coroutine_handle<> handle) const noexcept { connection.writer_ = handle; }
  void await_resume() const noexcept {}
};

H2Connection::H2Connection(Server& server, net::Stream& stream, const Peer& peer, std::string early)
    : server_(server),
      stream_(stream),
      peer_(peer),
      early_(std::move(early)),
      session_(wire::H2Session::Side::server, limits_of(server.limits_), *this),
      guard_(stream.loop().now()),
      scope_(stream.loop()),
      written_(stream.loop()),
      timer_(stream.loop()),
      idle_since_(stream.loop().now()) {}

H2Connection::~H2Connection() { loop().forget_turn_end(this); }

rt::Task<void> H2Connection::run() {
  scope_.spawn(write_all());
  watch(idle_since_ + server_.limits_.idle_timeout);
  bool ended = co_await read_all();
  std::vector<H2Exchange*> left(exchanges_.begin(), exchanges_.end());
  for (H2Exchange* exchange : left) exchange->lose();
  rt::Timer farewell(loop());
  if (ended) {
    // The writer ends when the last word is out, or when nobody takes it.
    farewell.arm_in(kFarewell, [this] { stream_.close(); });
  } else {
    stream_.close();
    stopped_ = true;
  }
  flush_soon();
  co_await scope_.idle();
  if (!stream_.closed()) co_await linger();
  timer_.cancel();
  stream_.close();
}

// Until the session has ended (true), or the client is gone.
rt::Task<bool> H2Connection::read_all() {
  if (!early_.empty() && !feed(std::exchange(early_, {}))) co_return true;
  while (!stopped_) {
    if (session_.queued() > kQueuedMax) {
      co_await written_;
      continue;
    }
    auto scratch = read_scratch();
    auto got = stream_.readable_now() ? stream_.read_now(scratch) : fail(Errc::backpressure, {});
    if (!got && got.error().code == Errc::backpressure) {
      auto ready = co_await stream_.readable();
      if (!ready) break;
      continue;
    }
    if (!got || *got == 0) co_return false;
    if (!feed({scratch.data(), *got})) co_return true;
  }
  co_return !stream_.closed() && session_.over();
}

bool H2Connection::feed(std::string_view bytes) {
  bool flooded = session_.flooded();
  bool going = session_.feed(bytes);
  if (!flooded && session_.flooded()) tell_abuse("header fields or unread answers");
  if (!session_.midway()) {
    midway_since_ = base::SteadyTime::max();
  } else if (midway_since_ == base::SteadyTime::max()) {
    midway_since_ = loop().now();
    watch(midway_since_ + server_.limits_.head_timeout);
  }
  flush_soon();
  return going;
}

void H2Connection::flush_soon() {
  if (!std::exchange(flushing_, true)) loop().at_turn_end(this);
}

void H2Connection::on_turn_end() {
  flushing_ = false;
  if (writer_) std::exchange(writer_, {}).resume();
}

rt::Task<void> H2Connection::write_all() {
  while (!stopped_) {
    out_.clear();
    session_.pull(out_, kOutputBytes);
    if (out_.empty()) {
      if (session_.over()) break;
      // An idle connection keeps no buffer.
      if (exchanges_.empty()) out_ = {};
      co_await Turn{*this};
      continue;
    }
    auto write = stream_.write(out_);
    bool slow = !write.await_ready();
    if (slow) stream_.set_write_deadline(server_.limits_.write_timeout);
    auto sent = slow ? co_await write : write.await_resume();
    if (slow) stream_.clear_deadline();
    if (!sent) break;
    written_.set();
  }
  stopped_ = true;
  stream_.cancel_read();
  written_.set();
}

// Closing with unread bytes resets the connection, and the client may lose the GOAWAY that says why: says goodbye and
// takes what is still on its way, bounded in bytes and time.
rt::Task<void> H2Connection::linger() {
  stream_.shutdown_write();
  std::size_t taken = 0;
  while (taken < kLingerBytesMax && !stream_.closed()) {
    auto got = stream_.readable_now() ? stream_.read_now(read_scratch()) : fail(Errc::backpressure, {});
    if (got && *got == 0) break;
    if (!got && got.error().code != Errc::backpressure) break;
    if (got) {
      taken += *got;
      continue;
    }
    auto ready = co_await stream_.readable();
    if (!ready) break;
  }
}

void H2Connection::on_request(std::int32_t stream, wire::H2Head& head) {
  // Also streams whose client has given them up count as long as their handlers run: resetting makes no room for more.
  if (exchanges_.size() >= server_.limits_.h2_streams_max) {
    session_.reset(stream, wire::H2Error::refused_stream);
    return;
  }
  scope_.spawn(serve(stream, std::move(head)));
}

rt::Task<void> H2Connection::serve(std::int32_t stream, wire::H2Head head) {
  H2Exchange exchange(*this, stream, std::move(head));
  exchanges_.insert(&exchange);
  session_.attach(stream, exchange);
  co_await exchange.run();
  session_.detach(stream);
  exchanges_.erase(&exchange);
  if (!exchanges_.empty()) co_return;
  idle_since_ = loop().now();
  watch(idle_since_ + server_.limits_.idle_timeout);
  if (peer_.spare) leave();
}

void H2Connection::on_frame(wire::H2FrameType type, bool end_stream, std::size_t length) {
  if (auto what = guard_.on_frame(type, end_stream, length, loop().now()); !what.empty()) cut_off(what);
}

void H2Connection::on_forced_reset(std::int32_t) {
  if (auto what = guard_.on_forced_reset(loop().now()); !what.empty()) cut_off(what);
}

void H2Connection::cut_off(std::string_view what) {
  if (session_.flooded()) return;
  session_.terminate(wire::H2Error::enhance_your_calm, fmt::format("too many {}", what));
  tell_abuse(what);
}

void H2Connection::tell_abuse(std::string_view what) {
  if (!std::exchange(abuse_told_, true) && server_.on_abuse_) server_.on_abuse_(what, peer_);
}

void H2Connection::give_up() {
  std::vector<H2Exchange*> open(exchanges_.begin(), exchanges_.end());
  for (H2Exchange* exchange : open) exchange->give_up();
}

void H2Connection::leave() {
  if (std::exchange(leaving_, true)) return;
  session_.announce_shutdown();
  session_.ping();
  last_call_at_ = loop().now() + kLastCallAfter;
  watch(last_call_at_);
  std::vector<H2Exchange*> open(exchanges_.begin(), exchanges_.end());
  for (H2Exchange* exchange : open) exchange->drain();
  flush_soon();
}

void H2Connection::on_pong() {
  if (last_call_at_ != base::SteadyTime::max()) last_call();
}

// The client has had the time to learn that it should begin nothing new.
void H2Connection::last_call() {
  last_call_at_ = base::SteadyTime::max();
  session_.goaway(wire::H2Error::no_error);
  flush_soon();
}

void H2Connection::watch(base::SteadyTime when) {
  if (timer_.armed()) {
    timer_.arm_no_later(when);
  } else {
    timer_.arm_at(when, [this] { on_timer(); });
  }
}

void H2Connection::on_timer() {
  const ServerLimits& limits = server_.limits_;
  base::SteadyTime now = loop().now();
  base::SteadyTime next = base::SteadyTime::max();
  auto due = [&](base::SteadyTime when) {
    if (when > now) next = std::min(next, when);
    return when <= now;
  };
  if (due(last_call_at_)) last_call();
  if (midway_since_ != base::SteadyTime::max() && due(midway_since_ + limits.head_timeout))
    session_.terminate(wire::H2Error::enhance_your_calm, "a frame or head that does not end");
  if (exchanges_.empty() && due(idle_since_ + limits.idle_timeout))
    session_.terminate(wire::H2Error::no_error, "nothing to do");
  for (H2Exchange* exchange : exchanges_) next = std::min(next, exchange->expire(now));
  if (next != base::SteadyTime::max()) watch(next);
  flush_soon();
}

}  // namespace penstock::http
