#include "json/log_line.h"

#include <unistd.h>

#include "json/value.h"

namespace penstock::json {

std::string log_line(base::WallMicros time, std::string_view level, std::string_view message,
                     std::string_view members) {
  std::string line = "{\"ts\":";
  append_quoted(line, base::to_rfc3339(time));
  line += ",\"level\":";
  append_quoted(line, level);
  line += ",\"msg\":";
  append_quoted(line, message);
  line += members;
  line += '}';
  return line;
}

void add_member(std::string& members, std::string_view key, std::string_view value) {
  members += ',';
  append_quoted(members, key);
  members += ':';
  append_quoted(members, value);
}

void write_log(std::string line) {
  line += '\n';
  // A log that cannot be written has nowhere to say so.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace penstock::json
