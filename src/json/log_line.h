// One line of the program's log: {"ts":"...","level":"info","msg":"...",...}. Lives this low so that every module can
// say something before and below the observation module.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace penstock::json {

// `members` is JSON text put behind the message as it is: ,"topic":"a/b" (with the leading comma), or empty.
std::string log_line(base::WallMicros time, std::string_view level, std::string_view message,
                     std::string_view members = {});

// Appends ,"key":"value" to `members`, escaped.
void add_member(std::string& members, std::string_view key, std::string_view value);

// Writes the line and its end to standard error in one call, so that lines of several threads never mix.
void write_log(std::string line);

}  // namespace penstock::json
