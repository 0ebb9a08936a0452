#include "http/h2_upstream.h"

#include "http/read_scratch.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;

// Of an answer: the head as HTTP/1.1's, and what may wait for a slow reader of it.
constexpr std::uint32_t kHeadBytesMax = 128 * 1024;
constexpr std::uint32_t kStreamWindowBytes = 256 * 1024;
// Pulled from the session at a time; a request's body stays with its call until the socket has room.
constexpr std::size_t kWriteBytes = 64 * 1024;
// Reads of 64 KiB before others on the loop have their turn.
constexpr int kReadsPerTurn = 4;
// Settings come with the first bytes of a connection; whoever does not send them speaks something else.
constexpr base::Duration kSettingsWait = 10s;
// A connection with calls that says nothing is asked whether it is still there: soon, then ever more seldom, as some
// servers take frequent questions for an attack.
constexpr std::array<base::Duration, 3> kPingAfter{20s, 60s, 300s};
constexpr base::Duration kPongWait = 10s;
// Frames in a row that carry nothing for any call.
constexpr std::uint32_t kIdleFramesMax = 10'000;

void count(std::atomic<std::uint64_t>& counter, std::int64_t by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(by), std::memory_order_relaxed);
}

wire::H2Limits limits_for(const Origin& origin) {
  wire::H2Limits limits;
  limits.stream_window_bytes = kStreamWindowBytes;
  // All streams' windows together: no call's unread answer keeps another's from coming.
  limits.session_window_bytes = static_cast<std::uint32_t>(origin.connections.streams) * kStreamWindowBytes;
  limits.header_list_bytes_max = kHeadBytesMax;
  return limits;
}

}  // namespace

H2Upstream::H2Upstream(std::unique_ptr<net::Stream> stream, std::shared_ptr<const Origin> origin,
                       std::shared_ptr<PoolCounters> counters, std::function<void()> changed)
    : stream_(std::move(stream)),
      origin_(std::move(origin)),
      counters_(std::move(counters)),
      changed_(std::move(changed)),
      session_(wire::H2Session::Side::client, limits_for(*origin_), *this),
      turn_timer_(stream_->loop()),
      watch_timer_(stream_->loop()),
      made_at_(stream_->loop().now()),
      heard_at_(made_at_),
      idle_since_(made_at_) {
  count(counters_->shared);
  count(counters_->shared_idle);
}

H2Upstream::~H2Upstream() = default;

void H2Upstream::start() {
  stream_->clear_deadline();
  stream_->on_readable([this] { read(); });
  stream_->on_writable([this] {
    if (blocked_) write();
  });
  watch_timer_.arm_at(made_at_ + kSettingsWait, [this] { on_watch(); });
  schedule();
}

std::size_t H2Upstream::streams_max() const {
  return std::min<std::size_t>(session_.remote_streams_max(), origin_->connections.streams);
}

std::size_t H2Upstream::room() const {
  const ConnectionLimits& limits = origin_->connections;
  if (ended_ || retired_ || begun_ >= limits.requests) return 0;
  if (stream_->loop().now() - made_at_ >= limits.age && begun_ > 0) return 0;
  std::size_t max = settled_ ? streams_max() : 1;
  return max > calls_ ? max - calls_ : 0;
}

std::unique_ptr<H2Call> H2Upstream::begin() {
  std::unique_ptr<H2Call> call(new H2Call(shared_from_this(), used()));
  open_calls_.push_back(call.get());
  ++begun_;
  count(counters_->streams);
  if (calls_++ == 0) {
    count(counters_->shared_idle, -1);
    heard_at_ = stream_->loop().now();
    watch_timer_.arm_no_later(heard_at_ + kPingAfter.front());
  }
  return call;
}

// A call needs the connection no more.
void H2Upstream::left(H2Call& call) {
  auto at = std::find(open_calls_.begin(), open_calls_.end(), &call);
  *at = open_calls_.back();
  open_calls_.pop_back();
  count(counters_->streams, -1);
  if (--calls_ == 0) {
    count(counters_->shared_idle);
    idle_since_ = stream_->loop().now();
    watch_timer_.arm_no_later(idle_since_ + origin_->connections.idle);
    bool done =
        retired_ || begun_ >= origin_->connections.requests || idle_since_ - made_at_ >= origin_->connections.age;
    if (done) retire();
  }
  tell_owner();
}

// The end of a connection without calls waits for the turn's end: this may run inside the session.
void H2Upstream::retire() {
  retired_ = true;
  schedule();
}

void H2Upstream::count_reset() { count(counters_->resets); }

void H2Upstream::tell_owner() {
  if (changed_) changed_();
}

void H2Upstream::on_settings() {
  bool first = !std::exchange(settled_, true);
  if (first && session_.remote_streams_max() == 0) return end({Errc::unavailable, "the other side allows no calls"});
  tell_owner();
}

void H2Upstream::on_goaway(std::int32_t, wire::H2Error) {
  said_goodbye_ = true;
  count(counters_->goaways);
  retire();
  tell_owner();
}

void H2Upstream::on_frame(wire::H2FrameType type, bool end_stream, std::size_t length) {
  bool carries = end_stream || type == wire::H2FrameType::headers || (type == wire::H2FrameType::data && length > 0);
  idle_frames_ = carries ? 0 : idle_frames_ + 1;
  if (idle_frames_ == kIdleFramesMax) session_.terminate(wire::H2Error::enhance_your_calm, "frames that carry nothing");
  if (type == wire::H2FrameType::push_promise)
    session_.terminate(wire::H2Error::protocol_error, "a push, which the settings forbid");
  if (type != wire::H2FrameType::ping) pings_ = 0;
}

void H2Upstream::schedule() {
  if (ended_ || turn_timer_.armed()) return;
  turn_timer_.arm_at(stream_->loop().now(), [this] { on_turn(); });
}

void H2Upstream::on_turn() {
  auto self = shared_from_this();
  if (stream_->readable_now()) read();
  write();
}

void H2Upstream::read() {
  auto self = shared_from_this();
  for (int i = 0; i < kReadsPerTurn && !ended_ && stream_->readable_now(); ++i) {
    auto scratch = read_scratch();
    auto got = stream_->read_now(scratch);
    if (!got && got.error().code == Errc::backpressure) break;
    if (!got || *got == 0) {
      Error closed{Errc::unavailable, "the other side closed the connection"};
      if (!settled_) closed.detail += " before it said anything in HTTP/2";
      return end(got ? closed : got.error());
    }
    heard_at_ = stream_->loop().now();
    ++reads_;
    if (!session_.feed(std::string_view(scratch.data(), *got))) {
      write();
      return end(defect());
    }
  }
  if (!ended_) schedule();
}

// Why the session came to its end.
Error H2Upstream::defect() const {
  if (said_goodbye_ && session_.defect().empty()) return {Errc::unavailable, "the other side ended the connection"};
  return {Errc::protocol_error,
          fmt::format("the rules of HTTP/2 were broken on the connection: {}", session_.defect())};
}

void H2Upstream::write() {
  auto self = shared_from_this();
  while (!ended_) {
    if (out_at_ == out_.size()) {
      out_.clear();
      out_at_ = 0;
      session_.pull(out_, kWriteBytes);
      if (out_.empty()) break;
    }
    auto put = stream_->write_now(std::string_view(out_).substr(out_at_));
    blocked_ = !put && put.error().code == Errc::backpressure;
    if (blocked_) return;
    if (!put) return end(put.error());
    out_at_ += *put;
  }
  if (ended_) return;
  if (session_.over()) return end(defect());
  if (retired_ && calls_ == 0) close();
}

void H2Upstream::close() {
  if (ended_) return;
  session_.terminate(wire::H2Error::no_error, "");
  std::string goodbye;
  session_.pull(goodbye, kWriteBytes);
  // Whoever is too slow to take it learns from the end of the connection.
  if (out_at_ == out_.size()) (void)stream_->write_now(goodbye);
  end({Errc::cancelled, "the connection was closed"});
}

void H2Upstream::end(Error why) {
  if (std::exchange(ended_, true)) return;
  // The stream may be what called: it goes away after it has returned.
  stream_->loop().post([self = shared_from_this()] {});
  turn_timer_.cancel();
  watch_timer_.cancel();
  stream_->close();
  count(counters_->shared, -1);
  if (calls_ == 0) count(counters_->shared_idle, -1);
  count(counters_->streams, -static_cast<std::int64_t>(calls_));
  calls_ = 0;
  for (H2Call* call : std::exchange(open_calls_, {})) call->connection_lost(why);
  tell_owner();
}

void H2Upstream::on_watch() {
  auto self = shared_from_this();
  base::SteadyTime now = stream_->loop().now();
  if (!settled_ && now - made_at_ >= kSettingsWait)
    return end({Errc::protocol_error, "the other side does not speak HTTP/2: no SETTINGS came"});
  base::SteadyTime next = calls_ == 0 ? idle_since_ + origin_->connections.idle : base::SteadyTime::max();
  if (calls_ == 0 && now >= next) return close();
  if (calls_ > 0) {
    base::SteadyTime lost_at = std::max(pinged_at_, heard_at_) + kPongWait;
    if (pong_due_ && now >= lost_at) return end({Errc::deadline_exceeded, "the other side does not answer a PING"});
    base::SteadyTime ping_at = heard_at_ + kPingAfter[std::min(pings_, kPingAfter.size() - 1)];
    if (!pong_due_ && now >= ping_at) {
      session_.ping();
      schedule();
      ++pings_;
      pong_due_ = true;
      pinged_at_ = now;
    }
    next = !pong_due_ ? ping_at : std::max(pinged_at_, heard_at_) + kPongWait;
  }
  if (!settled_) next = std::min(next, made_at_ + kSettingsWait);
  watch_timer_.arm_at(next, [this] { on_watch(); });
}

}  // namespace penstock::http
