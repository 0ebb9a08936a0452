// The provider of the benchmarks, made to cost next to nothing: every request gets the same answer.
//
//   fixed_upstream [--port P] [--dialect openai|anthropic] [--answer BYTES] [--events N] [--gap-ms T]
//
// A plain request gets an answer of BYTES bytes (300), a chat completion or a message. One with "stream":true gets N
// events (32), the first at once and T ms (10) apart, each with the monotonic time of its sending, then what ends a
// stream of the dialect, and the usage where the request asked for it. Prints "fixed_upstream ready 127.0.0.1:PORT",
// and its own count when it is ended by SIGTERM or SIGINT. HTTP/1.1 on loopback; bodies framed by Content-Length only.
#include <sys/signalfd.h>

#include <csignal>
#include <deque>
#include <memory>
#include <vector>

#include "bench/epoll.h"

namespace {

using namespace bench;

struct Options {
  std::uint16_t port = 0;
  std::string dialect = "openai";
  std::size_t answer_bytes = 300;
  int events = 32;
  std::int64_t gap_ns = 10 * kMilli;
};

struct Counts {
  std::uint64_t requests = 0;
  std::uint64_t streams = 0;
  std::uint64_t events = 0;
};

struct Connection {
  std::uint64_t generation = 0;
  int fd = -1;
  int events_left = 0;  // of a stream under way
  bool wants_usage = false;
  std::string in;   // the beginning of a request that did not arrive in one piece
  std::string out;  // what the socket did not take
};

// The bytes of every answer.
struct Answers {
  std::string plain;
  // Of a stream: up to the first token, each of the others, the end, the usage where it was asked for, and what
  // follows.
  std::string first, token, finish, usage, done;
};

// With so many x as the content that the body has `bytes` bytes.
std::string plain_answer(std::size_t bytes, std::string_view before, std::string_view after) {
  std::size_t fixed = before.size() + after.size();
  std::string body = std::string(before) + std::string(bytes > fixed ? bytes - fixed : 1, 'x') + std::string(after);
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

std::string stamp() { return kStampMark + std::string(kStampDigits, '0') + ' '; }

std::string chunk(std::string_view text) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + std::string(text) + "\r\n";
}

std::string openai_event(std::string_view choices_and_more) {
  return chunk(
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini",)" +
      std::string(choices_and_more) + "}\n\n");
}

Answers openai_answers(std::size_t bytes) {
  return {
      .plain = plain_answer(
          bytes,
          R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":")",
          R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":8,"total_tokens":50}})"),
      .first =
          std::string(kStreamHead) + openai_event(R"("choices":[{"index":0,"delta":{"role":"assistant","content":")" +
                                                  stamp() + R"("},"finish_reason":null}])"),
      .token = openai_event(R"("choices":[{"index":0,"delta":{"content":")" + stamp() + R"("},"finish_reason":null}])"),
      .finish = openai_event(R"("choices":[{"index":0,"delta":{},"finish_reason":"stop"}])"),
      .usage = openai_event(R"("choices":[],"usage":{"prompt_tokens":42,"completion_tokens":32,"total_tokens":74})"),
      .done = chunk("data: [DONE]\n\n") + std::string(kLastChunk)};
}

std::string anthropic_event(const std::string& type, const std::string& more) {
  return chunk("event: " + type + "\ndata: {\"type\":\"" + type + '"' + more + "}\n\n");
}

Answers anthropic_answers(std::size_t bytes) {
  std::string delta =
      anthropic_event("content_block_delta", R"(,"index":0,"delta":{"type":"text_delta","text":")" + stamp() + R"("})");
  return {
      .plain = plain_answer(
          bytes,
          R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-small","content":[{"type":"text","text":")",
          R"("}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":42,"output_tokens":8}})"),
      .first =
          std::string(kStreamHead) +
          anthropic_event(
              "message_start",
              R"(,"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-small","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":42,"output_tokens":1}})") +
          anthropic_event("content_block_start", R"(,"index":0,"content_block":{"type":"text","text":""})") + delta,
      .token = delta,
      .finish =
          anthropic_event("content_block_stop", R"(,"index":0)") +
          anthropic_event("message_delta",
                          R"(,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":32})"),
      .usage = "",
      .done = anthropic_event("message_stop", "") + std::string(kLastChunk)};
}

class Upstream {
 public:
  explicit Upstream(const Options& options)
      : options_(options),
        answers_(options.dialect == "anthropic" ? anthropic_answers(options.answer_bytes)
                                                : openai_answers(options.answer_bytes)) {
    listen();
    watch_signals();
  }

  void run() {
    while (!ended_) {
      std::int64_t until = due_.empty() ? now_ns() + kSecond : due_.front().at_ns;
      epoll_.wait(until, [this](std::uint64_t tag, std::uint32_t events) { on_ready(static_cast<int>(tag), events); });
      send_due_events();
    }
    std::printf(R"({"requests":%llu,"streams":%llu,"events":%llu,"cpu_us":%.0f})"
                "\n",
                static_cast<unsigned long long>(counts_.requests), static_cast<unsigned long long>(counts_.streams),
                static_cast<unsigned long long>(counts_.events), cpu_us());
  }

 private:
  // Every gap is the same, so that the next event of a stream is always the last of all: a queue, no heap.
  struct Due {
    std::int64_t at_ns;
    int fd;
    std::uint64_t generation;
  };

  void listen() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = loopback(0, options_.port);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0) die("bind");
    if (::listen(listener_, 16384) != 0) die("listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    epoll_.add(listener_, static_cast<std::uint64_t>(listener_));
    std::printf("fixed_upstream ready 127.0.0.1:%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
  }

  void watch_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    epoll_.add(signals_, static_cast<std::uint64_t>(signals_));
  }

  void on_ready(int fd, std::uint32_t events) {
    if (fd == listener_) return accept_all();
    if (fd == signals_) {
      ended_ = true;
      return;
    }
    Connection* connection = connections_[static_cast<std::size_t>(fd)].get();
    if (connection == nullptr) return;
    if ((events & EPOLLOUT) != 0 && !connection->out.empty() && !flush(*connection)) return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
      receive(*connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }

  void accept_all() {
    for (;;) {
      int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (connections_.size() <= static_cast<std::size_t>(fd)) connections_.resize(static_cast<std::size_t>(fd) + 1);
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      connection->generation = ++generation_;
      connections_[static_cast<std::size_t>(fd)] = std::move(connection);
      epoll_.add(fd, static_cast<std::uint64_t>(fd));
    }
  }

  void close(Connection& connection) {
    ::close(connection.fd);
    connections_[static_cast<std::size_t>(connection.fd)].reset();
  }

  void receive(Connection& connection, bool to_the_end) {
    for (;;) {
      ssize_t count = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) return close(connection);
      if (!take(connection, {buffer_.data(), static_cast<std::size_t>(count)})) return close(connection);
      // A short read emptied the socket: the next edge will tell.
      if (static_cast<std::size_t>(count) < buffer_.size() && !to_the_end) return;
    }
  }

  // False when the connection is to be closed.
  bool take(Connection& connection, std::string_view bytes) {
    std::string joined;
    if (!connection.in.empty()) {
      joined = std::move(connection.in) + std::string(bytes);
      connection.in.clear();
      bytes = joined;
    }
    while (!bytes.empty()) {
      std::size_t head_end = bytes.find("\r\n\r\n");
      if (head_end == bytes.npos) break;
      std::string_view head = bytes.substr(0, head_end + 2);
      if (!header(head, "transfer-encoding").empty()) return refuse(connection);
      std::size_t length = number(header(head, "content-length")).value_or(0);
      if (bytes.size() < head_end + 4 + length) break;
      if (!answer(connection, bytes.substr(head_end + 4, length))) return false;
      bytes.remove_prefix(head_end + 4 + length);
    }
    connection.in.assign(bytes);
    return true;
  }

  bool refuse(Connection& connection) {
    send(connection, "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return false;
  }

  static bool asks(std::string_view body, std::string_view name) {
    std::size_t at = body.find(name);
    if (at == body.npos) return false;
    std::string_view rest = body.substr(at + name.size());
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    return rest.starts_with("true");
  }

  bool answer(Connection& connection, std::string_view body) {
    ++counts_.requests;
    if (!asks(body, R"("stream":)")) return send(connection, answers_.plain);
    ++counts_.streams;
    connection.wants_usage = asks(body, R"("include_usage":)");
    connection.events_left = options_.events - 1;
    std::int64_t now = now_ns();
    due_.push_back({now + options_.gap_ns, connection.fd, connection.generation});
    return send_stamped(connection, answers_.first, now);
  }

  bool send_stamped(Connection& connection, std::string& text, std::int64_t now) {
    std::size_t at = text.rfind(kStampMark) + 1;
    char digits[kStampDigits + 1];
    std::snprintf(digits, sizeof digits, "%019lld", static_cast<long long>(now));
    text.replace(at, kStampDigits, digits, kStampDigits);
    ++counts_.events;
    return send(connection, text);
  }

  void send_due_events() {
    while (!due_.empty()) {
      Due due = due_.front();
      std::int64_t now = now_ns();
      if (due.at_ns > now) return;
      due_.pop_front();
      Connection* connection = connections_[static_cast<std::size_t>(due.fd)].get();
      if (connection == nullptr || connection->generation != due.generation) continue;
      bool open = true;
      if (connection->events_left > 0) {
        --connection->events_left;
        due_.push_back({now + options_.gap_ns, due.fd, due.generation});
        open = send_stamped(*connection, answers_.token, now);
      } else {
        open = send(*connection, answers_.finish + (connection->wants_usage ? answers_.usage : "") + answers_.done);
      }
      if (!open) close(*connection);
    }
  }

  bool send(Connection& connection, std::string_view bytes) {
    if (connection.out.empty()) {
      ssize_t count = ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN) return false;
      if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    connection.out.append(bytes);
    return true;
  }

  bool flush(Connection& connection) {
    std::string bytes = std::move(connection.out);
    connection.out.clear();
    if (send(connection, bytes)) return true;
    close(connection);
    return false;
  }

  Options options_;
  Epoll epoll_;
  Counts counts_;
  Answers answers_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::deque<Due> due_;
  std::array<char, 256 * 1024> buffer_{};
  std::uint64_t generation_ = 0;
  int listener_ = -1;
  int signals_ = -1;
  bool ended_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.port = static_cast<std::uint16_t>(std::stoul(option(argc, argv, "--port", "0")));
  options.dialect = option(argc, argv, "--dialect", "openai");
  options.answer_bytes = std::stoul(option(argc, argv, "--answer", "300"));
  options.events = std::stoi(option(argc, argv, "--events", "32"));
  options.gap_ns = std::stoll(option(argc, argv, "--gap-ms", "10")) * kMilli;
  prepare_process();
  auto upstream = std::make_unique<Upstream>(options);
  upstream->run();
}
