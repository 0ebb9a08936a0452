// What fixed_upstream and load share: an edge-triggered epoll loop with a nanosecond timeout, loopback sockets,
// header lookup, and the clocks they report. One thread, IPv4 loopback only.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace bench {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMilli = 1'000'000;

// CLOCK_MONOTONIC is one clock for every process of a machine: a time written by one is read by another.
inline std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

// User and system time of this process so far, in microseconds.
inline double cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto micros = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

[[noreturn]] inline void die(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// As many descriptors as the machine allows, and timers that are not put off to be handled together.
inline void prepare_process() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  prctl(PR_SET_TIMERSLACK, 1UL);
}

inline sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
  address.sin_port = htons(port);
  return address;
}

class Epoll {
 public:
  Epoll() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) die("epoll_create1");
  }
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;
  ~Epoll() { ::close(fd_); }

  // Both directions, edge-triggered, once: no call per change of interest.
  void add(int fd, std::uint64_t tag) const {
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.u64 = tag}};
    if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  // Waits until something happens or the monotonic time `until_ns`; a past time only looks. `handle(tag, events)`.
  template <typename Handler>
  void wait(std::int64_t until_ns, Handler&& handle) {
    std::int64_t left = std::max<std::int64_t>(0, until_ns - now_ns());
    timespec timeout{.tv_sec = left / kSecond, .tv_nsec = left % kSecond};
    int count = epoll_pwait2(fd_, events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      handle(event.data.u64, event.events);
    }
  }

 private:
  int fd_;
  std::array<epoll_event, 512> events_{};
};

inline bool equal_fold(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// The value of a header in `head` (start line and header lines), without the blanks around it; empty when absent.
inline std::string_view header(std::string_view head, std::string_view name) {
  for (std::size_t line = head.find("\r\n"); line != head.npos && line + 2 < head.size();) {
    std::size_t begin = line + 2;
    line = head.find("\r\n", begin);
    std::string_view text = head.substr(begin, line == head.npos ? line : line - begin);
    if (text.size() <= name.size() || text[name.size()] != ':' || !equal_fold(text.substr(0, name.size()), name))
      continue;
    text.remove_prefix(name.size() + 1);
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
  }
  return {};
}

inline std::optional<std::uint64_t> number(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

// The value of `--name` on the command line, else `otherwise`.
inline std::string option(int argc, char** argv, std::string_view name, std::string_view otherwise) {
  for (int i = 1; i + 1 < argc; ++i)
    if (argv[i] == name) return argv[i + 1];
  return std::string(otherwise);
}

inline bool flag(int argc, char** argv, std::string_view name) {
  for (int i = 1; i < argc; ++i)
    if (argv[i] == name) return true;
  return false;
}

// Marks of the time an event was sent: '@' and this many digits of nanoseconds, inside the event's text.
constexpr char kStampMark = '@';
constexpr std::size_t kStampDigits = 19;

}  // namespace bench
