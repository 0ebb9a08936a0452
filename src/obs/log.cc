#include "obs/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
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

// What standard error is, and how to write there without blocking for ever.
struct Sink {
  bool file = false;  // takes everything at once
  int own_pipe = -1;  // a pipe opened again: not to block is a matter of this descriptor, not of all who share it
};

Sink open_sink() {
  Sink sink;
  struct stat info{};
  if (::fstat(STDERR_FILENO, &info) != 0) return sink;
  sink.file = S_ISREG(info.st_mode);
  if (S_ISFIFO(info.st_mode)) sink.own_pipe = ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  return sink;
}

// Writes what goes without blocking; waits up to `patience` milliseconds when nothing goes. -1 when nobody reads.
ssize_t write_some(std::string_view lines, int patience) {
  // What poll() calls writable takes at least 4 KiB without blocking.
  constexpr std::size_t kPieceBytes = 4096;
  static const Sink sink = open_sink();
  int fd = sink.own_pipe >= 0 ? sink.own_pipe : STDERR_FILENO;
  bool at_once = sink.file || sink.own_pipe >= 0;
  std::size_t bytes = at_once ? lines.size() : std::min(lines.size(), kPieceBytes);
  auto write = [&] { return ::write(fd, lines.data(), bytes); };
  if (at_once) {
    ssize_t written = retried(write);
    if (written >= 0 || errno != EAGAIN) return written;
  }
  pollfd ready{fd, POLLOUT, 0};
  return retried([&] { return ::poll(&ready, 1, patience); }) > 0 ? retried(write) : -1;
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
