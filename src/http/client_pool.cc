#include "http/client_pool.h"

#include "net/connector.h"

namespace penstock::http {
namespace {

// For counters with one writer.
void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

Error cancelled() { return {Errc::cancelled, "the call was cancelled"}; }

// Ends a handshake under way.
class CloseOnCancel : private rt::CancelHook {
 public:
  CloseOnCancel(net::Stream& stream, rt::Cancellation* cancellation) : CancelHook(cancellation), stream_(stream) {}

 private:
  void on_cancel() override { stream_.close(); }
  net::Stream& stream_;
};

}  // namespace

// One of the connections an origin may have on this loop; given back when destroyed.
class ClientPool::Place {
 public:
  Place() = default;
  explicit Place(Slot& slot);
  Place(Place&& other) noexcept
      : slot_(std::exchange(other.slot_, nullptr)), pending_(std::exchange(other.pending_, false)) {}
  Place& operator=(Place&& other) noexcept {
    std::swap(slot_, other.slot_);
    std::swap(pending_, other.pending_);
    return *this;
  }
  ~Place();
  explicit operator bool() const { return slot_ != nullptr; }
  // What its connection is good for is known from now on.
  void settle();

 private:
  Slot* slot_ = nullptr;
  bool pending_ = false;
};

struct PooledStream::Connection {
  ClientPool& pool;
  ClientPool::Slot& slot;
  ClientPool::Place place;
  std::unique_ptr<net::Stream> stream;
  base::SteadyTime made_at;
  base::SteadyTime kept_at{};
  std::uint32_t requests = 0;
  bool kept = false;
};

// A call in the line; it is told by `wait` when it has one of the others.
struct ClientPool::Waiter {
  rt::Wait& wait;
  PooledStream given;
  Place place;
  std::optional<Error> error;
};

struct ClientPool::Slot {
  enum class Speaks { unknown, http1, http2 };
  struct Shared {
    std::shared_ptr<H2Upstream> connection;
    Place place;
  };

  Slot(rt::Loop& loop, std::shared_ptr<const Origin> to) : origin(std::move(to)), sweep_timer(loop) {
    origin->state->add_pool(counters);
    if (origin->http2 == Http2Use::prior_knowledge) speaks = Speaks::http2;
    if (origin->http2 == Http2Use::off || (origin->http2 == Http2Use::automatic && !origin->tls))
      speaks = Speaks::http1;
  }
  ~Slot();
  std::shared_ptr<const Origin> origin;
  std::shared_ptr<PoolCounters> counters = std::make_shared<PoolCounters>();
  net::TlsSession session;
  std::size_t open = 0;
  Speaks speaks = Speaks::unknown;
  std::size_t pending = 0;  // of `open`, those of which it is not known yet how many calls they can take
  std::size_t streams_expected = origin->connections.streams;  // of each of these, by what the last one could
  std::deque<Waiter*> line;
  std::vector<std::unique_ptr<PooledStream::Connection>> idle;  // the one kept last at the back
  std::vector<Shared> shared;
  rt::Timer sweep_timer;

  void show_idle() { counters->idle.store(idle.size(), std::memory_order_relaxed); }
  void show_open() { counters->open.store(open, std::memory_order_relaxed); }
  // Calls that the connections being made will have room for.
  std::size_t expected() const { return speaks == Speaks::http1 ? 0 : pending * streams_expected; }
  PooledStream share();
  PooledStream add_shared(std::unique_ptr<net::Stream> stream, Place place);
  void on_shared_change();
  void end_idle();
  void serve();
  void fail_line(const Error& error);
};

ClientPool::Place::Place(Slot& slot) : slot_(&slot), pending_(true) {
  ++slot.open;
  ++slot.pending;
  slot.show_open();
}

void ClientPool::Place::settle() {
  if (std::exchange(pending_, false)) --slot_->pending;
}

ClientPool::Place::~Place() {
  if (slot_ == nullptr) return;
  settle();
  --slot_->open;
  slot_->show_open();
  slot_->serve();
}

ClientPool::Slot::~Slot() {
  for (Shared& one : shared) {
    one.connection->forget_owner();
    one.connection->close();
  }
}

// A stream on the first connection with room, so that those which are not needed grow old.
PooledStream ClientPool::Slot::share() {
  for (const Shared& one : shared) {
    if (one.connection->room() == 0) continue;
    if (one.connection->used()) count(counters->reused);
    return PooledStream(one.connection->begin());
  }
  return {};
}

PooledStream ClientPool::Slot::add_shared(std::unique_ptr<net::Stream> stream, Place place) {
  auto made = std::make_shared<H2Upstream>(std::move(stream), origin, counters, [this] { on_shared_change(); });
  shared.push_back({made, std::move(place)});
  PooledStream first(made->begin());
  made->start();
  return first;
}

// A connection has room, learned how much it may have, takes no more calls, or ended.
void ClientPool::Slot::on_shared_change() {
  for (Shared& one : shared) {
    if (!one.connection->settled()) continue;
    streams_expected = std::max<std::size_t>(1, one.connection->streams_max());
    one.place.settle();
  }
  auto over = [](const Shared& one) { return one.connection->ended(); };
  while (true) {
    auto ended = std::find_if(shared.begin(), shared.end(), over);
    if (ended == shared.end()) break;
    Shared gone = std::move(*ended);
    shared.erase(ended);  // and only then its place goes to the line
  }
  serve();
}

// Connections without a call end now, shared ones with the last of theirs.
void ClientPool::Slot::end_idle() {
  idle.clear();
  show_idle();
  std::vector<std::shared_ptr<H2Upstream>> connections;
  for (const Shared& one : shared) connections.push_back(one.connection);
  for (const auto& connection : connections) {
    if (connection->streams() == 0) {
      connection->close();
    } else {
      connection->retire();
    }
  }
}

// Gives what there is to those who wait for it.
void ClientPool::Slot::serve() {
  while (!line.empty()) {
    PooledStream stream = share();
    bool dial = open < origin->connections.max && line.size() > expected();
    if (!stream && !dial) return;
    Waiter* next = line.front();
    line.pop_front();
    if (stream) {
      next->given = std::move(stream);
    } else {
      next->place = Place(*this);
    }
    next->wait.set();
  }
}

// Those who waited for a connection that could not be made need not find out one after the other.
void ClientPool::Slot::fail_line(const Error& error) {
  if (speaks == Speaks::http1 || pending > 1 || !shared.empty()) return;
  for (Waiter* waiter : std::exchange(line, {})) {
    waiter->error = error;
    waiter->wait.set();
  }
}

PooledStream::PooledStream() = default;
PooledStream::PooledStream(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)), stream_(connection_->stream.get()) {}
PooledStream::PooledStream(std::unique_ptr<H2Call> shared) : shared_(std::move(shared)) {}
PooledStream::PooledStream(PooledStream&& other) noexcept
    : connection_(std::move(other.connection_)),
      stream_(std::exchange(other.stream_, nullptr)),
      shared_(std::move(other.shared_)) {}
PooledStream& PooledStream::operator=(PooledStream&& other) noexcept {
  connection_ = std::move(other.connection_);
  stream_ = std::exchange(other.stream_, nullptr);
  shared_ = std::move(other.shared_);
  return *this;
}
PooledStream::~PooledStream() = default;
bool PooledStream::reused() const {
  return connection_ != nullptr ? connection_->requests > 0 : shared_ != nullptr && shared_->reused();
}

ClientPool::ClientPool(rt::Loop& loop) : loop_(loop) {}

ClientPool::~ClientPool() {
  close_all();
  leaving_.clear();
}

ClientPool::Slot* ClientPool::find(const Origin& origin) const {
  std::size_t index = origin.state->index();
  return index < slots_.size() ? slots_[index].get() : nullptr;
}

ClientPool::Slot& ClientPool::slot_of(const std::shared_ptr<const Origin>& origin) {
  if (Slot* known = find(*origin)) return *known;
  std::size_t index = origin->state->index();
  if (index >= slots_.size()) slots_.resize(index + 1);
  slots_[index] = std::make_unique<Slot>(loop_, origin);
  return *slots_[index];
}

PooledStream ClientPool::take(const std::shared_ptr<const Origin>& origin) {
  Slot* slot = find(*origin);
  if (slot == nullptr) return {};
  if (!slot->shared.empty()) {
    if (PooledStream stream = slot->share()) return stream;
  }
  while (!slot->idle.empty()) {
    auto connection = std::move(slot->idle.back());
    slot->idle.pop_back();
    slot->show_idle();
    connection->kept = false;
    if (!connection->stream->quiet()) continue;
    count(slot->counters->reused);
    return PooledStream(std::move(connection));
  }
  return {};
}

void ClientPool::keep(PooledStream stream) {
  auto connection = std::move(stream.connection_);
  Slot& slot = connection->slot;
  const ConnectionLimits& limits = slot.origin->connections;
  base::SteadyTime now = loop_.now();
  if (++connection->requests >= limits.requests || now - connection->made_at >= limits.age) return;
  if (connection->stream->closed() || connection->stream->hung_up()) return;
  connection->stream->clear_deadline();
  if (!slot.line.empty()) {
    if (!connection->stream->quiet()) return;
    Waiter* next = slot.line.front();
    slot.line.pop_front();
    count(slot.counters->reused);
    next->given = PooledStream(std::move(connection));
    next->wait.set();
    return;
  }
  connection->kept = true;
  connection->kept_at = now;
  slot.idle.push_back(std::move(connection));
  slot.show_idle();
  if (!slot.sweep_timer.armed()) slot.sweep_timer.arm_at(now + limits.idle, [this, to = &slot] { sweep(*to); });
}

// Closes what was kept for too long, and comes back when the next one is.
void ClientPool::sweep(Slot& slot) {
  base::Duration limit = slot.origin->connections.idle;
  auto fresh = std::find_if(slot.idle.begin(), slot.idle.end(),
                            [&](const auto& kept) { return loop_.now() - kept->kept_at < limit; });
  slot.idle.erase(slot.idle.begin(), fresh);
  slot.show_idle();
  if (slot.idle.empty()) return;
  slot.sweep_timer.arm_at(slot.idle.front()->kept_at + limit, [this, to = &slot] { sweep(*to); });
}

// The other side closes connections it is tired of: forgotten at once, not at the next use. The end waits for the loop,
// because this runs inside the stream's own callback.
void ClientPool::on_hang_up(PooledStream::Connection& connection) {
  if (!connection.kept) return;
  auto& idle = connection.slot.idle;
  auto kept = std::find_if(idle.begin(), idle.end(), [&](const auto& one) { return one.get() == &connection; });
  connection.kept = false;
  leaving_.push_back(std::move(*kept));
  idle.erase(kept);
  connection.slot.show_idle();
  if (leaving_.size() == 1) loop_.post([this] { leaving_.clear(); });
}

rt::Task<Result<PooledStream>> ClientPool::open(std::shared_ptr<const Origin> origin, base::SteadyTime deadline,
                                                rt::Cancellation* cancellation) {
  Slot& slot = slot_of(origin);
  const ConnectionLimits& limits = origin->connections;
  if (PooledStream stream = slot.share()) co_return std::move(stream);
  // A kept connection makes room: this call wants one of its own.
  if (slot.open >= limits.max && slot.line.empty() && !slot.idle.empty()) {
    slot.idle.erase(slot.idle.begin());
    slot.show_idle();
  }
  Place place;
  if (slot.open < limits.max && slot.line.size() >= slot.expected()) {
    place = Place(slot);
  } else {
    auto given = co_await place_in_line(slot, deadline, cancellation, place);
    if (!place) co_return given;
  }
  base::SteadyTime latest = loop_.now() + origin->connect_timeout;
  auto made = co_await connect(slot, place, std::min(deadline, latest), cancellation);
  if (!made) {
    count(slot.counters->connect_failures);
    Errc code = made.error().code;
    bool own = code == Errc::cancelled || (code == Errc::deadline_exceeded && deadline < latest);
    if (!own) slot.fail_line(made.error());
  }
  co_return made;
}

// Waits for a connection, a stream on one, or `place` to make one.
rt::Task<Result<PooledStream>> ClientPool::place_in_line(Slot& slot, base::SteadyTime deadline,
                                                         rt::Cancellation* cancellation, Place& place) {
  const Origin& origin = *slot.origin;
  const ConnectionLimits& limits = origin.connections;
  if (slot.line.size() >= slot.expected()) count(slot.counters->waits);
  if (slot.line.size() >= limits.waiting + slot.expected()) {
    count(slot.counters->refusals);
    co_return fail(Errc::backpressure,
                   fmt::format("all {} connections to {} are in use and {} calls wait for one already", limits.max,
                               origin.url.place(), limits.waiting));
  }
  rt::Wait wait(loop_, std::min(deadline, loop_.now() + origin.connect_timeout), cancellation);
  Waiter waiter{wait, {}, {}, {}};
  struct Leaving {
    Slot& slot;
    Waiter& waiter;
    ~Leaving() { std::erase(slot.line, &waiter); }
  } leaving{slot, waiter};
  slot.line.push_back(&waiter);
  auto end = co_await wait;
  if (end == rt::Wait::End::cancelled) co_return std::unexpected(cancelled());
  if (waiter.error) co_return std::unexpected(*waiter.error);
  // It may have come at the last moment; and it may have said something since it was given.
  if (waiter.given.multiplexed() != nullptr) co_return std::move(waiter.given);
  if (waiter.given && waiter.given->quiet()) co_return std::move(waiter.given);
  if (waiter.given) waiter.place = std::move(waiter.given.connection_->place);
  if (!waiter.place && slot.open < limits.max) {
    co_return fail(
        Errc::deadline_exceeded,
        fmt::format("the connection to {} that others wait for, too, was not made in time", origin.url.place()));
  }
  if (!waiter.place) {
    count(slot.counters->refusals);
    co_return fail(Errc::backpressure, fmt::format("all {} connections to {} stayed in use while the call waited",
                                                   limits.max, origin.url.place()));
  }
  place = std::move(waiter.place);
  co_return PooledStream();
}

rt::Task<Result<PooledStream>> ClientPool::connect(Slot& slot, Place& place, base::SteadyTime deadline,
                                                   rt::Cancellation* cancellation) {
  const Origin& origin = *slot.origin;
  count(slot.counters->connects);
  auto stream = co_await net::connect(loop_, origin.url, deadline, cancellation);
  if (!stream) co_return std::unexpected(stream.error());
  if (cancellation != nullptr && cancellation->cancelled()) co_return std::unexpected(cancelled());
  if (origin.tls) {
    CloseOnCancel closing(**stream, cancellation);
    (*stream)->set_deadline(deadline);
    std::string name = origin.tls_name.empty() ? origin.url.host : origin.tls_name;
    auto shaken = co_await (*stream)->start_tls_client(origin.tls, std::move(name), &slot.session);
    if (cancellation != nullptr && cancellation->cancelled()) co_return std::unexpected(cancelled());
    if (!shaken) co_return std::unexpected(shaken.error());
  }
  bool http2 = origin.tls ? (*stream)->alpn() == "h2" : origin.http2 == Http2Use::prior_knowledge;
  if (!http2 && origin.http2 == Http2Use::prior_knowledge)
    co_return fail(Errc::unavailable, "the other side does not speak HTTP/2, which `http2: prior_knowledge` wants");
  slot.speaks = http2 ? Slot::Speaks::http2 : Slot::Speaks::http1;
  if (http2) co_return slot.add_shared(std::move(*stream), std::move(place));
  place.settle();
  auto connection = std::unique_ptr<PooledStream::Connection>(
      new PooledStream::Connection{*this, slot, std::move(place), std::move(*stream), loop_.now()});
  connection->stream->on_hang_up([made = connection.get()] { made->pool.on_hang_up(*made); });
  slot.serve();
  co_return PooledStream(std::move(connection));
}

void ClientPool::prune(std::span<const std::shared_ptr<const Origin>> wanted) {
  for (auto& slot : slots_) {
    if (!slot || std::find(wanted.begin(), wanted.end(), slot->origin) != wanted.end()) continue;
    slot->end_idle();
    if (slot->open == 0) slot.reset();
  }
}

void ClientPool::close_all() {
  for (auto& slot : slots_) {
    if (!slot) continue;
    slot->end_idle();
  }
}

std::size_t ClientPool::idle() const {
  std::size_t total = 0;
  for (const auto& slot : slots_) {
    if (!slot) continue;
    total += slot->idle.size();
    for (const auto& one : slot->shared) total += one.connection->streams() == 0 ? 1U : 0U;
  }
  return total;
}

}  // namespace penstock::http
