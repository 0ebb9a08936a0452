#include "net/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <thread>
#include <unordered_map>

namespace penstock::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto kTtlMin = seconds(1);
constexpr auto kTtlMax = seconds(3600);
constexpr auto kFailureFor = seconds(1);
constexpr auto kStaleFor = minutes(10);
// Whoever could have an old answer does not wait for a slow server longer than this.
constexpr auto kPatienceWithOldAnswer = milliseconds(500);
// More names under way, callers waiting, or names known than any gateway has providers: something is wrong.
constexpr std::size_t kNamesUnderWayMax = 256;
constexpr std::size_t kWaitersMax = 16384;
constexpr std::size_t kNamesKnownMax = 1024;
constexpr const char* kSystemServers = "/etc/resolv.conf";

void set_port(Addresses& addresses, std::uint16_t port) {
  for (Endpoint& endpoint : addresses) {
    // The port stands at the same place in both families.
    reinterpret_cast<sockaddr_in*>(&endpoint.storage)->sin_port = htons(port);
  }
}

struct Answer {
  Result<Addresses> addresses;
  base::Duration ttl = kTtlMin;
  bool authoritative = false;  // a failure that says the name does not exist
};

Answer read_answer(const std::string& host, int status, const ares_addrinfo* found) {
  Answer answer;
  Addresses addresses;
  int ttl = static_cast<int>(kTtlMax.count());
  if (status == ARES_SUCCESS && found != nullptr) {
    for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
      if (node->ai_family != AF_INET && node->ai_family != AF_INET6) continue;
      Endpoint endpoint;
      std::memcpy(&endpoint.storage, node->ai_addr, static_cast<std::size_t>(node->ai_addrlen));
      endpoint.length = node->ai_addrlen;
      addresses.push_back(endpoint);
      ttl = std::min(ttl, node->ai_ttl);
    }
    for (const ares_addrinfo_cname* alias = found->cnames; alias != nullptr; alias = alias->next)
      ttl = std::min(ttl, alias->ttl);
  }
  answer.ttl = std::clamp(seconds(ttl), kTtlMin, kTtlMax);
  if (!addresses.empty()) {
    answer.addresses = std::move(addresses);
    return answer;
  }
  answer.authoritative = status == ARES_SUCCESS || status == ARES_ENOTFOUND || status == ARES_ENODATA;
  const char* why = status == ARES_SUCCESS ? "it has no address" : ares_strerror(status);
  answer.addresses = fail(Errc::unavailable, fmt::format("the name '{}' cannot be resolved: {}", host, why));
  return answer;
}

}  // namespace

// The thread that polls c-ares' sockets, and what is known of names. The mutex guards everything but the channel, which
// is the thread's own.
class Resolver::Thread {
 public:
  // A caller. `wait` and `found` belong to its loop's thread; `wait` is null once it stopped waiting.
  struct Waiter {
    rt::Loop* loop;
    rt::Wait* wait = nullptr;
    std::shared_ptr<const Answer> found;
  };
  // What ask() can say at once: an answer, or an old one that may be used if nothing better comes.
  struct Known {
    std::optional<Result<Addresses>> answer;
    std::optional<Addresses> old;
  };

  explicit Thread(Options options) : options_(std::move(options)), wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    ares_library_init(ARES_LIB_INIT_ALL);
  }

  ~Thread() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake();
    if (thread_.joinable()) thread_.join();
    ::close(wake_fd_);
    ares_library_cleanup();
  }

  void use_servers(std::string servers) {
    std::lock_guard lock(mutex_);
    if (options_.servers == servers) return;
    options_.servers = std::move(servers);
    known_.clear();
    servers_changed_ = true;
    wake();
  }

  Stats stats() const {
    std::lock_guard lock(mutex_);
    return stats_;
  }

  void count_stale() {
    std::lock_guard lock(mutex_);
    ++stats_.stale;
  }

  // Without an answer `waiter` is told when there is one, unless it is forgotten before.
  Known ask(const std::string& host, const std::shared_ptr<Waiter>& waiter) {
    std::lock_guard lock(mutex_);
    Known known = look_at(host);
    if (known.answer) return known;
    auto under_way = under_way_.find(host);
    if (waiting_ >= kWaitersMax || (under_way == under_way_.end() && under_way_.size() >= kNamesUnderWayMax)) {
      known.answer = fail(Errc::backpressure, "too many names are waiting to be resolved");
      return known;
    }
    if (!thread_.joinable() && !start_thread()) {
      known.answer = fail(Errc::backpressure, "the system gives no thread to resolve names");
      return known;
    }
    ++waiting_;
    if (under_way != under_way_.end()) {
      under_way->second.push_back(waiter);
      return known;
    }
    under_way_[host].push_back(waiter);
    to_start_.push_back(host);
    wake();
    return known;
  }

  // After this nothing is posted for `waiter`. On its loop.
  void forget(const std::string& host, const std::shared_ptr<Waiter>& waiter) {
    waiter->wait = nullptr;
    std::lock_guard lock(mutex_);
    auto under_way = under_way_.find(host);
    if (under_way != under_way_.end()) waiting_ -= std::erase(under_way->second, waiter);
  }

 private:
  bool start_thread() {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error&) {
      return false;
    }
    return true;
  }

  struct Name {
    Addresses addresses;
    base::SteadyTime fresh_until;
    base::SteadyTime stale_until;
    base::SteadyTime failed_until;
    Error failure;
  };
  struct Query {
    Thread* thread;
    std::string host;
  };

  void wake() const {
    std::uint64_t one = 1;
    // Cannot fail but for a full counter, which is a pending wake-up too.
    [[maybe_unused]] auto written = ::write(wake_fd_, &one, sizeof one);
  }

  Known look_at(const std::string& host) {
    Known known;
    auto entry = known_.find(host);
    if (entry == known_.end()) return known;
    const Name& name = entry->second;
    base::SteadyTime now = options_.now();
    if (now < name.fresh_until) {
      known.answer = name.addresses;
    } else if (now < name.stale_until) {
      known.old = name.addresses;
      if (now < name.failed_until) {
        ++stats_.stale;
        known.answer = name.addresses;
      }
    } else if (now < name.failed_until) {
      known.answer = std::unexpected(name.failure);
    }
    return known;
  }

  void learn(const std::string& host, const Answer& answer) {
    base::SteadyTime now = options_.now();
    if (known_.size() >= kNamesKnownMax && !known_.contains(host)) {
      std::erase_if(known_, [&](const auto& entry) {
        return now >= std::max(entry.second.fresh_until, entry.second.failed_until);
      });
      if (known_.size() >= kNamesKnownMax) known_.clear();
    }
    Name& name = known_[host];
    if (answer.addresses) {
      name.addresses = *answer.addresses;
      name.fresh_until = now + answer.ttl;
      name.stale_until = name.fresh_until + kStaleFor;
      return;
    }
    name.failed_until = now + kFailureFor;
    name.failure = answer.addresses.error();
    if (answer.authoritative) name.fresh_until = name.stale_until = now;
  }

  void answered(const std::string& host, int status, const ares_addrinfo* found) {
    Answer answer = read_answer(host, status, found);
    std::lock_guard lock(mutex_);
    if (!answer.addresses) ++stats_.failures;
    learn(host, answer);
    auto under_way = under_way_.extract(host);
    if (under_way.empty()) return;
    waiting_ -= under_way.mapped().size();
    auto shared = std::make_shared<const Answer>(std::move(answer));
    // Posted under the lock: whoever is still in the list has a loop that lives.
    for (const auto& waiter : under_way.mapped()) {
      waiter->loop->post([waiter, shared] {
        waiter->found = shared;
        if (waiter->wait != nullptr) waiter->wait->set();
      });
    }
  }

  // --- on the thread ---

  void open_channel() {
    ares_options options{};
    std::string servers;
    {
      std::lock_guard lock(mutex_);
      servers = options_.servers;
      options.timeout = static_cast<int>(std::chrono::duration_cast<milliseconds>(options_.timeout).count());
      options.tries = options_.tries;
    }
    options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
      auto& sockets = static_cast<Thread*>(self)->sockets_;
      if (readable == 0 && writable == 0) {
        sockets.erase(fd);
      } else {
        sockets[fd] = static_cast<short>((readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0));
      }
    };
    options.sock_state_cb_data = this;
    std::string hosts_then_dns = "fb";
    options.lookups = hosts_then_dns.data();
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
    stamp_ = stamp();
    if (ares_init_options(&channel_, &options, mask) != ARES_SUCCESS) channel_ = nullptr;
    if (channel_ != nullptr && !servers.empty()) ares_set_servers_ports_csv(channel_, servers.c_str());
  }

  static std::int64_t stamp() {
    struct stat info{};
    if (::stat(kSystemServers, &info) != 0) return 0;
    return info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec + static_cast<std::int64_t>(info.st_ino);
  }

  // The machine moved to another network, or somebody named other servers: what is under way is asked again.
  void reopen_when_changed() {
    std::vector<std::string> again;
    {
      std::lock_guard lock(mutex_);
      bool moved = options_.servers.empty() && !to_start_.empty() && stamp() != stamp_;
      bool changed = std::exchange(servers_changed_, false) || moved;
      if (channel_ != nullptr && !changed) return;
      for (const auto& [host, waiters] : under_way_) again.push_back(host);
      to_start_ = std::move(again);
    }
    close_channel();
    open_channel();
  }

  void close_channel() {
    if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
    sockets_.clear();
  }

  void start_queued() {
    std::vector<std::string> hosts;
    {
      std::lock_guard lock(mutex_);
      hosts.swap(to_start_);
      stats_.lookups += hosts.size();
    }
    for (std::string& host : hosts) {
      if (channel_ == nullptr) {
        answered(host, ARES_ENOTINITIALIZED, nullptr);
        continue;
      }
      ares_addrinfo_hints hints{};
      hints.ai_family = AF_UNSPEC;
      hints.ai_socktype = SOCK_STREAM;
      auto* query = new Query{this, host};
      ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints, &Thread::on_answer, query);
    }
  }

  static void on_answer(void* arg, int status, int, ares_addrinfo* found) {
    std::unique_ptr<Query> query(static_cast<Query*>(arg));
    // The channel goes away: the thread ends, or asks again on the next one.
    if (status != ARES_EDESTRUCTION) query->thread->answered(query->host, status, found);
    if (found != nullptr) ares_freeaddrinfo(found);
  }

  void run() {
    while (true) {
      reopen_when_changed();
      start_queued();
      poll_once();
      std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    close_channel();
  }

  void poll_once() {
    std::vector<pollfd> polled{{wake_fd_, POLLIN, 0}};
    for (const auto& [fd, events] : sockets_) polled.push_back({fd, events, 0});
    timeval left{};
    int wait_millis = -1;
    if (channel_ != nullptr && ares_timeout(channel_, nullptr, &left) != nullptr)
      wait_millis = static_cast<int>(left.tv_sec * 1000 + left.tv_usec / 1000 + 1);
    ::poll(polled.data(), polled.size(), wait_millis);
    std::uint64_t count = 0;
    if (polled.front().revents != 0) [[maybe_unused]]
      auto drained = ::read(wake_fd_, &count, sizeof count);
    if (channel_ == nullptr) return;
    for (std::size_t i = 1; i < polled.size(); ++i) {
      short events = polled[i].revents;
      if (events == 0) continue;
      bool readable = (events & (POLLIN | POLLERR | POLLHUP)) != 0;
      bool writable = (events & POLLOUT) != 0;
      ares_process_fd(channel_, readable ? polled[i].fd : ARES_SOCKET_BAD, writable ? polled[i].fd : ARES_SOCKET_BAD);
    }
    // Time-outs.
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }

  mutable std::mutex mutex_;
  Options options_;
  std::unordered_map<std::string, Name> known_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<Waiter>>> under_way_;
  std::size_t waiting_ = 0;
  std::vector<std::string> to_start_;
  bool servers_changed_ = false;
  bool stopping_ = false;
  Stats stats_;
  int wake_fd_;
  ares_channel channel_ = nullptr;
  std::unordered_map<int, short> sockets_;
  std::int64_t stamp_ = 0;
  std::thread thread_;
};

Resolver::Resolver(Options options) : thread_(std::make_unique<Thread>(std::move(options))) {}
Resolver::~Resolver() = default;

Resolver& Resolver::instance() {
  static Resolver resolver{Options{}};
  return resolver;
}

void Resolver::use_servers(std::string servers) { thread_->use_servers(std::move(servers)); }
Resolver::Stats Resolver::stats() const { return thread_->stats(); }

rt::Task<Result<Addresses>> Resolver::resolve(rt::Loop& loop, HostPort address, base::SteadyTime deadline,
                                              rt::Cancellation* cancellation) {
  if (auto numeric = parse_endpoint(address)) co_return Addresses{*numeric};
  auto waiter = std::make_shared<Thread::Waiter>(Thread::Waiter{&loop, nullptr, nullptr});
  struct Leaving {
    Thread& thread;
    const std::string& host;
    const std::shared_ptr<Thread::Waiter>& waiter;
    ~Leaving() { thread.forget(host, waiter); }
  } leaving{*thread_, address.host, waiter};
  Thread::Known known = thread_->ask(address.host, waiter);
  Result<Addresses> found = known.answer.value_or(Addresses{});
  if (!known.answer) {
    rt::Wait wait(loop, known.old ? std::min(deadline, loop.now() + kPatienceWithOldAnswer) : deadline, cancellation);
    waiter->wait = &wait;
    auto end = co_await wait;
    waiter->wait = nullptr;
    if (end == rt::Wait::End::cancelled) co_return fail(Errc::cancelled, "the call was cancelled");
    bool told = end == rt::Wait::End::set;
    found = told ? waiter->found->addresses
                 : fail(Errc::deadline_exceeded, fmt::format("the name '{}' was not resolved in time", address.host));
    bool denied = told && waiter->found->authoritative;
    if (!found && known.old && !denied) {
      thread_->count_stale();
      found = std::move(*known.old);
    }
  }
  if (found) set_port(*found, address.port);
  co_return found;
}

}  // namespace penstock::net
