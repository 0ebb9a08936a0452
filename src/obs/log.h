// The program's log: one JSON object per line on standard error.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::obs {

enum class Level { debug, info, warn, error };

using LogField = std::pair<std::string_view, std::string>;

// Any thread; one write per line, so lines of different threads do not mix. Never give it a secret.
void log(Level level, std::string_view message, std::initializer_list<LogField> fields = {});

// Lines below this level are not written. Default info. Any thread.
void set_log_level(Level level);

// Writes finished lines as they are. Any thread. When nobody reads standard error for kLogPatience the lines are
// dropped and counted: a log must not stop the gateway.
void write_log(std::string_view lines);
constexpr int kLogPatienceMillis = 100;
// Writes that were given up, in whole or in part, and the lines that were lost with them.
std::uint64_t log_writes_dropped();
std::uint64_t log_lines_dropped();

}  // namespace penstock::obs
