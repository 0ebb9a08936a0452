#include "net/connector.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>

#include "rt/await.h"

namespace penstock::net {
namespace {

using Addresses = std::vector<Endpoint>;

constexpr auto kFreshFor = std::chrono::seconds(30);
constexpr auto kStaleFor = std::chrono::minutes(10);
// More names waiting than any gateway has providers: the resolver is stuck.
constexpr std::size_t kLookupsMax = 256;

Result<Addresses> look_up(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  int code = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (code != 0) {
    return fail(Errc::unavailable,
                fmt::format("the name '{}' cannot be resolved: {}", address.host, gai_strerror(code)));
  }
  Addresses addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    Endpoint endpoint;
    std::memcpy(&endpoint.storage, info->ai_addr, info->ai_addrlen);
    endpoint.length = info->ai_addrlen;
    addresses.push_back(endpoint);
  }
  freeaddrinfo(found);
  return addresses;
}

// One thread for every loop: look-ups are rare, and getaddrinfo blocks. Lives as long as the process.
class Resolver {
 public:
  using Done = std::function<void(Result<Addresses>)>;

  static Resolver& instance() {
    static Resolver resolver;
    return resolver;
  }

  // Null when nothing fresh is remembered.
  std::optional<Addresses> remembered(const std::string& key, std::chrono::seconds at_most) {
    std::lock_guard lock(mutex_);
    auto entry = cache_.find(key);
    if (entry == cache_.end() || std::chrono::steady_clock::now() - entry->second.at > at_most) return std::nullopt;
    return entry->second.addresses;
  }

  void start(rt::Loop& loop, HostPort address, Done done) {
    std::lock_guard lock(mutex_);
    if (queue_.size() >= kLookupsMax) {
      loop.post([done] { done(fail(Errc::backpressure, "too many names are waiting to be resolved")); });
      return;
    }
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    queue_.push_back({&loop, std::move(address), std::move(done)});
    wake_.notify_one();
  }

  ~Resolver() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Lookup {
    rt::Loop* loop;
    HostPort address;
    Done done;
  };
  struct Entry {
    Addresses addresses;
    base::SteadyTime at;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      Lookup lookup = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      auto found = look_up(lookup.address);
      lock.lock();
      if (found) cache_[lookup.address.text()] = {*found, std::chrono::steady_clock::now()};
      lookup.loop->post([done = std::move(lookup.done), found = std::move(found)] { done(found); });
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Lookup> queue_;
  std::map<std::string, Entry> cache_;
  bool stopping_ = false;
  std::thread thread_;
};

// A socket on its way to being connected: only waits for the first writable.
class Connecting : private rt::Listener {
 public:
  Connecting(rt::Loop& loop, int fd, base::SteadyTime deadline) : loop_(loop), fd_(fd), timer_(loop) {
    loop_.add(fd_, this);
    timer_.arm_at(deadline, [this] { finish(ETIMEDOUT); });
  }
  ~Connecting() override { loop_.remove(fd_, this); }
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) { waiter_ = handle; }
  int await_resume() const { return error_; }

 private:
  void on_ready(bool, bool writable, bool) override {
    if (!writable) return;
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    finish(error);
  }
  void finish(int error) {
    error_ = error;
    timer_.cancel();
    if (waiter_) loop_.defer(std::exchange(waiter_, {}));
  }

  rt::Loop& loop_;
  int fd_;
  rt::Timer timer_;
  int error_ = 0;
  std::coroutine_handle<> waiter_;
};

rt::Task<Result<int>> connect_one(rt::Loop& loop, Endpoint endpoint, base::SteadyTime deadline) {
  int fd = ::socket(endpoint.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return fail(Errc::resource_exhausted, fmt::format("cannot make a socket: {}", std::strerror(errno)));
  int error = ::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    Connecting connecting(loop, fd, deadline);
    error = co_await connecting;
  }
  if (error == 0) co_return fd;
  ::close(fd);
  if (error == ETIMEDOUT)
    co_return fail(Errc::deadline_exceeded, fmt::format("{} did not accept the connection in time", endpoint.text()));
  co_return fail(Errc::unavailable,
                 fmt::format("{} refused or failed the connection: {}", endpoint.text(), std::strerror(error)));
}

}  // namespace

rt::Task<Result<std::vector<Endpoint>>> resolve(rt::Loop& loop, HostPort address) {
  if (auto numeric = parse_endpoint(address)) {
    Addresses one{*numeric};
    co_return one;
  }
  std::string key = address.text();
  if (auto fresh = Resolver::instance().remembered(key, kFreshFor)) co_return std::move(*fresh);
  std::function<void(Resolver::Done)> start = [&](Resolver::Done done) {
    Resolver::instance().start(loop, address, std::move(done));
  };
  rt::Callback<Result<Addresses>> lookup(loop, std::move(start));
  auto found = co_await lookup;
  if (!found) {
    if (auto stale = Resolver::instance().remembered(key, kStaleFor)) co_return std::move(*stale);
  }
  co_return found;
}

rt::Task<Result<std::unique_ptr<Stream>>> connect(rt::Loop& loop, HostPort address, base::SteadyTime deadline) {
  auto addresses = co_await resolve(loop, address);
  if (!addresses) co_return std::unexpected(addresses.error());
  Error last{Errc::unavailable, fmt::format("the name '{}' has no address", address.host)};
  for (const Endpoint& endpoint : *addresses) {
    auto fd = co_await connect_one(loop, endpoint, deadline);
    if (fd) co_return std::make_unique<Stream>(loop, *fd);
    last = fd.error();
    if (last.code == Errc::deadline_exceeded) break;
  }
  co_return std::unexpected(last);
}

}  // namespace penstock::net
