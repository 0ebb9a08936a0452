#include "obs/log.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "json/value.h"

namespace penstock::obs {
namespace {

std::atomic<Level> threshold{Level::info};
std::atomic<bool> stuck{false};  // the last write found nobody reading: the next ones do not wait
std::atomic<std::uint64_t> dropped{0};

std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
  }
  return "info";
}

}  // namespace

void set_log_level(Level level) { threshold.store(level, std::memory_order_relaxed); }

std::uint64_t log_writes_dropped() { return dropped.load(std::memory_order_relaxed); }

void write_log(std::string_view lines) {
  // A pipe takes at least 4 KiB at once when poll() calls it writable, so that the write itself does not block; a file
  // takes everything.
  static const bool file = [] {
    struct stat info{};
    return ::fstat(STDERR_FILENO, &info) == 0 && S_ISREG(info.st_mode);
  }();
  const std::size_t piece_bytes = file ? lines.size() : 4096;
  int patience = stuck.load(std::memory_order_relaxed) ? 0 : kLogPatienceMillis;
  while (!lines.empty()) {
    pollfd ready{STDERR_FILENO, POLLOUT, 0};
    int count = ::poll(&ready, 1, patience);
    if (count < 0 && errno == EINTR) continue;
    ssize_t written = count > 0 ? ::write(STDERR_FILENO, lines.data(), std::min(lines.size(), piece_bytes)) : -1;
    if (count > 0 && written < 0 && errno == EINTR) continue;
    stuck.store(written < 0, std::memory_order_relaxed);
    if (written < 0) {
      dropped.fetch_add(1, std::memory_order_relaxed);
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
