#include "obs/log.h"

#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "json/value.h"

namespace penstock::obs {
namespace {

std::atomic<Level> threshold{Level::info};

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

void write_log(std::string_view lines) {
  while (!lines.empty()) {
    ssize_t written = ::write(STDERR_FILENO, lines.data(), lines.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return;  // a closed or full standard error must not stop the gateway
    }
    lines.remove_prefix(static_cast<std::size_t>(written));
  }
}

void log(Level level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < threshold.load(std::memory_order_relaxed)) return;
  std::string line = fmt::format(R"({{"ts":"{}","level":"{}","msg":)", base::to_rfc3339(base::system_clock().wall()), name_of(level));
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
