#include "obs/log.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "json/value.h"

namespace penstock::obs {
namespace {

std::atomic<Level> threshold{Level::info};
std::atomic<bool> stuck{false};  // the last write found nobody reading: the next ones do not wait
std::atomic<std::uint64_t> dropped{0};
std::atomic<std::uint64_t> lost{0};

std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
  }
  return "info";
}

// The call again for as long as a signal interrupts it.
template <class Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

bool is_file(int fd) {
  struct stat info{};
  return ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

// Writes what goes without blocking; waits up to `patience` milliseconds when nothing goes. -1 when nobody reads.
ssize_t write_some(std::string_view lines, int patience) {
  // A file takes everything at once. Pipes and sockets can be asked not to block, whoever else shares them.
  static const bool file = is_file(STDERR_FILENO);
  static std::atomic<bool> can_ask{true};
  if (file) return retried([&] { return ::write(STDERR_FILENO, lines.data(), lines.size()); });
  auto ask = [&] {
    iovec piece{const_cast<char*>(lines.data()), lines.size()};
    return ::pwritev2(STDERR_FILENO, &piece, 1, -1, RWF_NOWAIT);
  };
  if (can_ask.load(std::memory_order_relaxed)) {
    ssize_t written = retried(ask);
    if (written >= 0) return written;
    if (errno == EPIPE) return -1;
    if (errno != EAGAIN) can_ask.store(false, std::memory_order_relaxed);
  }
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  if (retried([&] { return ::poll(&ready, 1, patience); }) <= 0) return -1;
  // What poll() calls writable takes at least 4 KiB without blocking.
  constexpr std::size_t kPieceBytes = 4096;
  if (can_ask.load(std::memory_order_relaxed)) return retried(ask);
  return retried([&] { return ::write(STDERR_FILENO, lines.data(), std::min(lines.size(), kPieceBytes)); });
}

}  // namespace

void set_log_level(Level level) { threshold.store(level, std::memory_order_relaxed); }

std::uint64_t log_writes_dropped() { return dropped.load(std::memory_order_relaxed); }
std::uint64_t log_lines_dropped() { return lost.load(std::memory_order_relaxed); }

void write_log(std::string_view lines) {
  int patience = stuck.load(std::memory_order_relaxed) ? 0 : kLogPatienceMillis;
  while (!lines.empty()) {
    ssize_t written = write_some(lines, patience);
    stuck.store(written < 0, std::memory_order_relaxed);
    if (written < 0) {
      dropped.fetch_add(1, std::memory_order_relaxed);
      lost.fetch_add(static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')),
                     std::memory_order_relaxed);
      return;
    }
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
}

void log(Level level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < threshold.load(std::memory_order_relaxed)) return;
  std::string line =
      fmt::format(R"({{"ts":"{}","level":"{}","msg":)", base::to_rfc3339(base::system_clock().wall()), name_of(level));
  json::append_quoted(line, message);
  for (const auto& [name, value] : fields) {
    line += ',';
    json::append_quoted(line, name);
    line += ':';
    json::append_quoted(line, value);
  }
  line += "}\n";
  write_log(line);
}

}  // namespace penstock::obs
