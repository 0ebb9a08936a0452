#include "net/connector.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "net/egress.h"
#include "net/resolver.h"

namespace penstock::net {
namespace {

// RFC 8305, section 5: "Connection Attempt Delay".
constexpr auto kNextAttemptAfter = std::chrono::milliseconds(250);

// The family of the first address leads; families alternate as long as there are both.
std::vector<Endpoint> interleave(const std::vector<Endpoint>& addresses) {
  std::vector<Endpoint> leading;
  std::vector<Endpoint> other;
  for (const Endpoint& endpoint : addresses) {
    bool leads = endpoint.storage.ss_family == addresses.front().storage.ss_family;
    (leads ? leading : other).push_back(endpoint);
  }
  std::vector<Endpoint> order;
  for (std::size_t i = 0; i < std::max(leading.size(), other.size()); ++i) {
    if (i < leading.size()) order.push_back(leading[i]);
    if (i < other.size()) order.push_back(other[i]);
  }
  return order;
}

// One attempt of a race: a socket on its way to being connected.
class Attempt : private rt::Listener {
 public:
  // `changed` is called once, when the attempt succeeded or failed after start().
  Attempt(rt::Loop& loop, const Endpoint& endpoint, std::function<void()> changed)
      : loop_(loop), endpoint_(endpoint), changed_(std::move(changed)) {}
  ~Attempt() override { close(); }

  void start() {
    fd_ = ::socket(endpoint_.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
      settle(errno);
      return;
    }
    const auto* address = reinterpret_cast<const sockaddr*>(&endpoint_.storage);
    int error = ::connect(fd_, address, endpoint_.length) == 0 ? 0 : errno;
    if (error == EINPROGRESS && (error = loop_.add(fd_, this)) == 0) return;
    settle(error);
  }

  bool connected() const { return settled_ && error_ == 0; }
  bool failed() const { return settled_ && error_ != 0; }
  Error why() const {
    if (ours())
      return {Errc::backpressure,
              fmt::format("no socket is left here for another connection: {}", std::strerror(error_))};
    return {Errc::unavailable,
            fmt::format("{} refused or failed the connection: {}", endpoint_.text(), std::strerror(error_))};
  }
  // The connected socket; the caller owns it now.
  int take() {
    loop_.remove(fd_, this);
    return std::exchange(fd_, -1);
  }

 private:
  void on_ready(bool, bool writable, bool) override {
    if (!writable || settled_) return;
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    settle(error);
    changed_();
  }
  // What this machine has run out of says nothing about the other side.
  bool ours() const {
    return error_ == EMFILE || error_ == ENFILE || error_ == ENOBUFS || error_ == ENOMEM || error_ == EADDRNOTAVAIL;
  }
  void settle(int error) {
    settled_ = true;
    error_ = error;
    if (error != 0) close();
  }
  void close() {
    if (fd_ < 0) return;
    loop_.remove(fd_, this);
    ::close(std::exchange(fd_, -1));
  }

  rt::Loop& loop_;
  Endpoint endpoint_;
  std::function<void()> changed_;
  int fd_ = -1;
  bool settled_ = false;
  int error_ = 0;
};

// The attempts of one connection. Those that lost are closed with it.
class Race {
 public:
  explicit Race(rt::Loop& loop) : loop_(loop) {}

  void start(const Endpoint& endpoint) {
    attempts_.push_back(std::make_unique<Attempt>(loop_, endpoint, [this] {
      if (waiting != nullptr) waiting->set();
    }));
    attempts_.back()->start();
  }
  Attempt* winner() {
    auto won =
        std::find_if(attempts_.begin(), attempts_.end(), [](const auto& attempt) { return attempt->connected(); });
    return won == attempts_.end() ? nullptr : won->get();
  }
  // Forgets the failed ones; true when there was one.
  bool drop_failed() {
    return std::erase_if(attempts_, [this](const auto& attempt) {
             if (attempt->failed()) last_error = attempt->why();
             return attempt->failed();
           }) > 0;
  }
  bool running() const { return !attempts_.empty(); }

  rt::Wait* waiting = nullptr;
  Error last_error;

 private:
  rt::Loop& loop_;
  std::vector<std::unique_ptr<Attempt>> attempts_;
};

}  // namespace

rt::Task<Result<std::unique_ptr<Stream>>> connect_any(rt::Loop& loop, std::vector<Endpoint> addresses,
                                                      base::SteadyTime deadline, rt::Cancellation* cancellation) {
  std::vector<Endpoint> order = interleave(addresses);
  Race race(loop);
  std::size_t next = 0;
  bool due = true;
  while (true) {
    if (due && next < order.size()) race.start(order[next++]);
    if (Attempt* winner = race.winner()) co_return std::make_unique<Stream>(loop, winner->take());
    due = race.drop_failed();
    if (due && next < order.size()) continue;
    if (!race.running() && next == order.size()) co_return std::unexpected(race.last_error);
    base::SteadyTime next_at =
        next < order.size() ? std::chrono::steady_clock::now() + kNextAttemptAfter : base::SteadyTime::max();
    rt::Wait wait(loop, std::min(deadline, next_at), cancellation);
    race.waiting = &wait;
    auto end = co_await wait;
    race.waiting = nullptr;
    if (end == rt::Wait::End::cancelled) co_return fail(Errc::cancelled, "the call was cancelled");
    due = end == rt::Wait::End::deadline;
    if (due && next_at >= deadline) {
      co_return fail(Errc::deadline_exceeded,
                     fmt::format("{} did not accept the connection in time", order[next - 1].text()));
    }
  }
}

rt::Task<Result<std::unique_ptr<Stream>>> connect(rt::Loop& loop, HostPort address, base::SteadyTime deadline,
                                                  rt::Cancellation* cancellation) {
  auto addresses = co_await Resolver::instance().resolve(loop, address, deadline, cancellation);
  if (!addresses) co_return std::unexpected(addresses.error());
  // What the name led to is asked about, not the name: whoever answers for it may say anything, another time each time.
  Result<void> permitted;
  std::erase_if(*addresses, [&](const Endpoint& endpoint) {
    Result<void> verdict = Egress::check(endpoint);
    if (!verdict) permitted = std::move(verdict);
    return !verdict;
  });
  if (addresses->empty()) co_return std::unexpected(permitted.error());
  co_return co_await connect_any(loop, std::move(*addresses), deadline, cancellation);
}

rt::Task<Result<std::unique_ptr<Stream>>> connect(rt::Loop& loop, const Url& url, base::SteadyTime deadline,
                                                  rt::Cancellation* cancellation) {
  if (url.socket.empty()) return connect(loop, HostPort{url.host, url.port}, deadline, cancellation);
  auto endpoint = local_endpoint(url.socket);
  if (!endpoint) return rt::Task<Result<std::unique_ptr<Stream>>>::ready(std::unexpected(endpoint.error()));
  return connect_any(loop, std::vector<Endpoint>{*endpoint}, deadline, cancellation);
}

}  // namespace penstock::net
