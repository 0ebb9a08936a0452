// Load generator of the benchmarks: one thread, kept connections, one request per connection at a time.
//
//   load --port P --body FILE [--path /v1/chat/completions] [--header "Name: value"]...
//        [--connections 64] [--sources 1]      from so many addresses, 127.0.0.1 and on
//        [--seconds 4] [--grace 30]            requests begin for so long; the last may take so much longer
//        [--rate R]                            R requests/s at fixed times; without it, as fast as answers come
//        [--each N] [--spread-ms T]            N requests per connection, however long; the first ones spread over T ms
//        [--deadline-ms D]                     an answer later than that is no use: the caller gives up and reconnects
//        [--stream] [--hold]
//
// At a fixed rate, latency counts from the time a request was due and not from when a connection was free for it: a
// stalled server cannot hide the requests it held up. --stream reads server-sent events and takes from each the time at
// which fixed_upstream sent it. --hold prints "load holding" once every connection has had its answer, or its stream's
// first event, and keeps them open for the seconds given. Prints one line of JSON with counts, its own CPU time and
// quantiles in microseconds. Exits with 1 when any request failed.
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "bench/epoll.h"
#include "bench/histogram.h"
#include "bench/response.h"

namespace {

using namespace bench;

// Connections are opened at this pace: below what fills a listener's queue before it is looked at.
constexpr std::int64_t kConnectEveryNs = 200'000;

struct Options {
  std::uint16_t port = 0;
  std::size_t connections = 64;
  std::uint32_t sources = 1;
  std::int64_t length_ns = 0;
  std::int64_t grace_ns = 0;
  std::int64_t spread_ns = 0;
  double rate = 0;
  std::uint64_t each = 0;
  std::int64_t deadline_ns = 0;
  bool stream = false;
  bool hold = false;
  std::string request;
};

struct Counts {
  std::uint64_t requests = 0;  // answered with 2xx, in full
  std::uint64_t bytes = 0;
  std::uint64_t events = 0;
  std::uint64_t connect_errors = 0;
  std::uint64_t broken = 0;    // cut or malformed answers
  std::uint64_t timeouts = 0;  // not answered when the grace was over
  std::uint64_t reconnects = 0;
  std::uint64_t expired = 0;             // given up at the deadline, or never begun before it
  std::map<int, std::uint64_t> refused;  // by status
  Histogram latency;
  Histogram first_event;
  Histogram event_delay;

  std::uint64_t failed() const {
    std::uint64_t sum = connect_errors + broken + timeouts + expired;
    for (auto [status, count] : refused) sum += count;
    return sum;
  }
};

struct Connection {
  enum class State { closed, connecting, idle, busy };
  State state = State::closed;
  int fd = -1;
  std::size_t sent = 0;  // bytes of the request under way
  std::uint64_t begun = 0;
  std::int64_t due_ns = 0;
  bool had_event = false;
  Response response;
  EventScanner scanner;
};

class Load {
 public:
  explicit Load(Options options) : options_(std::move(options)), connections_(options_.connections) {}

  const Counts& counts() const { return counts_; }
  double elapsed_seconds() const { return static_cast<double>(now_ns() - start_ns_) / 1e9; }

  void run() {
    connect_all();
    start_ns_ = now_ns();
    end_ns_ = start_ns_ + options_.length_ns;
    while (!finished()) {
      begin_due();
      give_up_expired();
      std::int64_t until = std::min({next_due(), phase_end(), next_expiry()});
      epoll_.wait(until, [this](std::uint64_t tag, std::uint32_t events) { on_ready(connections_[tag], events); });
    }
    for (const Connection& connection : connections_) counts_.timeouts += connection.state == Connection::State::busy;
    counts_.timeouts += backlog_.size();
  }

 private:
  using State = Connection::State;

  void connect_all() {
    std::int64_t begun = now_ns();
    std::size_t opened = 0;
    while (connected_ < connections_.size() && counts_.connect_errors == 0) {
      std::int64_t now = now_ns();
      while (opened < connections_.size() && begun + static_cast<std::int64_t>(opened) * kConnectEveryNs <= now)
        open(connections_[opened++]);
      if (now > begun + 30 * kSecond) ++counts_.connect_errors;
      std::int64_t next =
          opened < connections_.size() ? begun + static_cast<std::int64_t>(opened) * kConnectEveryNs : now + kMilli;
      epoll_.wait(next, [this](std::uint64_t tag, std::uint32_t events) { on_ready(connections_[tag], events); });
    }
    measuring_ = counts_.connect_errors == 0;
  }

  void open(Connection& connection) {
    auto index = static_cast<std::uint64_t>(&connection - connections_.data());
    connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) die("socket");
    int on = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options_.sources > 1) {
      ::setsockopt(connection.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
      sockaddr_in from = loopback(static_cast<std::uint32_t>(index % options_.sources), 0);
      if (::bind(connection.fd, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0) die("bind");
    }
    sockaddr_in to = loopback(0, options_.port);
    int result = ::connect(connection.fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
    connection.state = State::connecting;
    if (result != 0 && errno != EINPROGRESS) return fail_connect(connection);
    epoll_.add(connection.fd, index);
  }

  void fail_connect(Connection& connection) {
    ++counts_.connect_errors;
    close(connection);
  }

  void close(Connection& connection) {
    ::close(connection.fd);
    connection.fd = -1;
    connection.state = State::closed;
    connection.response.reset();
  }

  void on_ready(Connection& connection, std::uint32_t events) {
    bool cut = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (connection.state == State::connecting) {
      if ((events & (EPOLLHUP | EPOLLERR)) != 0) return fail_connect(connection);
      if ((events & EPOLLOUT) == 0) return;
      ++connected_;
      make_idle(connection);
    }
    if (connection.state == State::busy && connection.sent < options_.request.size() && (events & EPOLLOUT) != 0)
      send(connection);
    if ((events & EPOLLIN) != 0 || cut) receive(connection, cut);
  }

  // What an idle connection does next.
  void make_idle(Connection& connection) {
    connection.state = State::idle;
    std::int64_t now = now_ns();
    bool more = options_.each == 0 || connection.begun < options_.each;
    if (!measuring_ || options_.rate > 0) {
      idle_.push_back(&connection);
      if (measuring_ && !backlog_.empty()) take_from_backlog();
    } else if (more && (now < end_ns_ || options_.each != 0)) {
      begin(connection, now);
    }
  }

  void take_from_backlog() {
    drop_expired_backlog();
    if (backlog_.empty()) return;
    // The newest where callers do not wait for ever: behind a queue of old ones every call would begin too late.
    bool newest = options_.deadline_ns != 0;
    std::int64_t due = newest ? backlog_.back() : backlog_.front();
    newest ? backlog_.pop_back() : backlog_.pop_front();
    begin(*pop_idle(), due);
  }

  bool expired(std::int64_t due_ns, std::int64_t now) const {
    return options_.deadline_ns != 0 && now >= due_ns + options_.deadline_ns;
  }

  void drop_expired_backlog() {
    std::int64_t now = now_ns();
    for (; !backlog_.empty() && expired(backlog_.front(), now); backlog_.pop_front()) ++counts_.expired;
  }

  std::int64_t next_expiry() const {
    return waiting_.empty() ? INT64_MAX : waiting_.begin()->first + options_.deadline_ns;
  }

  // Callers whose time is over hang up; somebody else calls in their place.
  void give_up_expired() {
    if (options_.deadline_ns == 0) return;
    std::int64_t now = now_ns();
    drop_expired_backlog();
    for (; !waiting_.empty() && expired(waiting_.begin()->first, now); waiting_.erase(waiting_.begin())) {
      Connection& connection = *waiting_.begin()->second.connection;
      if (connection.state != State::busy || connection.begun != waiting_.begin()->second.begun) continue;
      --busy_;
      ++counts_.expired;
      reopen(connection);
    }
  }

  Connection* pop_idle() {
    Connection* connection = idle_.front();
    idle_.pop_front();
    return connection;
  }

  // Requests whose time has come: by rate, or the first of each connection.
  void begin_due() {
    if (!measuring_) return;
    std::int64_t now = now_ns();
    if (options_.rate > 0) {
      for (; next_due() <= now; ++issued_) {
        backlog_.push_back(next_due());
        if (!idle_.empty()) take_from_backlog();
      }
    } else {
      for (; !idle_.empty() && next_due() <= now; ++issued_) begin(*pop_idle(), now_ns());
    }
  }

  std::int64_t next_due() const {
    constexpr std::int64_t kNever = INT64_MAX;
    auto issued = static_cast<double>(issued_);
    if (options_.rate > 0) {
      std::int64_t due = start_ns_ + static_cast<std::int64_t>(issued * 1e9 / options_.rate);
      return due < end_ns_ ? due : kNever;
    }
    if (issued_ >= connections_.size()) return kNever;
    return start_ns_ + static_cast<std::int64_t>(issued / static_cast<double>(connections_.size()) *
                                                 static_cast<double>(options_.spread_ns));
  }

  void begin(Connection& connection, std::int64_t due_ns) {
    if (connection.state != State::idle) return;  // closed by the peer since
    connection.state = State::busy;
    connection.due_ns = due_ns;
    connection.sent = 0;
    connection.had_event = false;
    connection.response.reset();
    connection.scanner.reset();
    ++connection.begun;
    ++busy_;
    if (options_.deadline_ns != 0) waiting_.emplace(due_ns, Waiting{&connection, connection.begun});
    send(connection);
  }

  void send(Connection& connection) {
    const std::string& request = options_.request;
    ssize_t count =
        ::send(connection.fd, request.data() + connection.sent, request.size() - connection.sent, MSG_NOSIGNAL);
    if (count > 0) connection.sent += static_cast<std::size_t>(count);
    // An error shows up when the answer is read.
  }

  void receive(Connection& connection, bool to_the_end) {
    while (connection.fd >= 0) {
      ssize_t count = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) return on_closed(connection);
      counts_.bytes += static_cast<std::uint64_t>(count);
      if (connection.state == State::busy) on_bytes(connection, {buffer_.data(), static_cast<std::size_t>(count)});
      if (static_cast<std::size_t>(count) < buffer_.size() && !to_the_end) return;
    }
  }

  void on_bytes(Connection& connection, std::string_view bytes) {
    std::int64_t now = now_ns();
    Response::State state = connection.response.take(bytes, [&](std::string_view piece) {
      if (options_.stream)
        connection.scanner.take(piece, [&](std::int64_t sent_ns) { on_event(connection, sent_ns, now); });
    });
    if (state == Response::State::done) finish(connection, now);
    if (state == Response::State::broken) on_closed(connection);
  }

  void on_event(Connection& connection, std::int64_t sent_ns, std::int64_t now) {
    ++counts_.events;
    if (sent_ns != 0) counts_.event_delay.add(now - sent_ns);
    if (connection.had_event) return;
    connection.had_event = true;
    counts_.first_event.add(now - connection.due_ns);
    if (options_.stream) note_held();
  }

  void finish(Connection& connection, std::int64_t now) {
    --busy_;
    int status = connection.response.status();
    if (expired(connection.due_ns, now)) {
      ++counts_.expired;
    } else if (status >= 200 && status < 300) {
      ++counts_.requests;
      counts_.latency.add(now - connection.due_ns);
    } else {
      ++counts_.refused[status];
    }
    if (!options_.stream) note_held();
    if (connection.response.closes()) return reopen(connection);
    make_idle(connection);
  }

  void on_closed(Connection& connection) {
    if (connection.state == State::connecting) return fail_connect(connection);
    if (connection.state == State::busy) {
      if (connection.response.ended_by_close()) return finish(connection, now_ns());
      --busy_;
      ++counts_.broken;
    }
    std::erase(idle_, &connection);
    reopen(connection);
  }

  // A server that fails every connection must not keep this loop from its end.
  void reopen(Connection& connection) {
    close(connection);
    ++counts_.reconnects;
    bool worth = options_.deadline_ns != 0 || counts_.failed() <= counts_.requests + connections_.size();
    if (now_ns() < end_ns_ && worth) open(connection);
  }

  void note_held() {
    if (!options_.hold || ++held_ != connections_.size()) return;
    end_ns_ = now_ns() + options_.length_ns;
    std::printf("load holding\n");
    std::fflush(stdout);
  }

  std::int64_t phase_end() const { return now_ns() < end_ns_ ? end_ns_ : end_ns_ + options_.grace_ns; }

  bool finished() const {
    if (!measuring_) return true;
    std::int64_t now = now_ns();
    if (now >= end_ns_ + options_.grace_ns) return true;
    bool begun_all = options_.each != 0 && !options_.hold && issued_ >= connections_.size();
    if (options_.rate > 0 && next_due() <= now) return false;
    return busy_ == 0 && backlog_.empty() && (now >= end_ns_ || begun_all);
  }

  Options options_;
  Epoll epoll_;
  Counts counts_;
  std::vector<Connection> connections_;
  std::deque<Connection*> idle_;
  std::deque<std::int64_t> backlog_;  // due, and waiting for a connection
  struct Waiting {
    Connection* connection;
    std::uint64_t begun;
  };
  std::multimap<std::int64_t, Waiting> waiting_;  // begun, by when they were due
  std::array<char, 256 * 1024> buffer_{};
  std::int64_t start_ns_ = 0;
  std::int64_t end_ns_ = INT64_MAX;
  std::uint64_t issued_ = 0;
  std::size_t connected_ = 0;
  std::size_t busy_ = 0;
  std::size_t held_ = 0;
  bool measuring_ = false;
};

std::string read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) die(path.c_str());
  std::string text;
  char buffer[65536];
  for (std::size_t count; (count = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, count);
  std::fclose(file);
  return text;
}

std::string make_request(int argc, char** argv) {
  std::string body = read_file(option(argc, argv, "--body", "/dev/null"));
  std::string head =
      "POST " + option(argc, argv, "--path", "/v1/chat/completions") + " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  for (int i = 1; i + 1 < argc; ++i)
    if (std::string_view(argv[i]) == "--header") head += std::string(argv[i + 1]) + "\r\n";
  return head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

void print(const char* name, const Histogram& histogram) {
  std::printf(R"("%s":{"count":%llu,"mean":%.1f,"p50":%.1f,"p90":%.1f,"p99":%.1f,"p999":%.1f,"max":%.1f},)", name,
              static_cast<unsigned long long>(histogram.total()), histogram.mean_us(), histogram.quantile_us(0.5),
              histogram.quantile_us(0.9), histogram.quantile_us(0.99), histogram.quantile_us(0.999),
              histogram.max_us());
}

void report(const Counts& counts, double elapsed_seconds) {
  auto count = [](const char* name, std::uint64_t value) {
    std::printf(R"("%s":%llu,)", name, static_cast<unsigned long long>(value));
  };
  std::printf("{");
  print("latency", counts.latency);
  print("first_event", counts.first_event);
  print("event_delay", counts.event_delay);
  count("requests", counts.requests);
  count("bytes", counts.bytes);
  count("events", counts.events);
  count("failed", counts.failed());
  count("connect_errors", counts.connect_errors);
  count("broken", counts.broken);
  count("timeouts", counts.timeouts);
  count("reconnects", counts.reconnects);
  count("expired", counts.expired);
  for (auto [status, refused] : counts.refused) count(("status_" + std::to_string(status)).c_str(), refused);
  std::printf(R"("requests_per_s":%.1f,"elapsed_s":%.6f,"cpu_us":%.0f})"
              "\n",
              static_cast<double>(counts.requests) / elapsed_seconds, elapsed_seconds, cpu_us());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.port = static_cast<std::uint16_t>(std::stoul(option(argc, argv, "--port", "0")));
  options.connections = std::stoul(option(argc, argv, "--connections", "64"));
  options.sources = static_cast<std::uint32_t>(std::stoul(option(argc, argv, "--sources", "1")));
  options.length_ns = static_cast<std::int64_t>(std::stod(option(argc, argv, "--seconds", "4")) * 1e9);
  options.grace_ns = static_cast<std::int64_t>(std::stod(option(argc, argv, "--grace", "30")) * 1e9);
  options.spread_ns = std::stoll(option(argc, argv, "--spread-ms", "0")) * kMilli;
  options.rate = std::stod(option(argc, argv, "--rate", "0"));
  options.each = std::stoull(option(argc, argv, "--each", "0"));
  options.deadline_ns = std::stoll(option(argc, argv, "--deadline-ms", "0")) * kMilli;
  options.stream = flag(argc, argv, "--stream");
  options.hold = flag(argc, argv, "--hold");
  options.request = make_request(argc, argv);
  if (options.port == 0 || options.connections == 0 || options.length_ns <= 0) {
    std::fprintf(stderr, "load: --port is needed; connections and seconds are above 0\n");
    return 2;
  }
  prepare_process();
  Load load(std::move(options));
  load.run();
  report(load.counts(), load.elapsed_seconds());
  return load.counts().failed() == 0 ? 0 : 1;
}
