#include "http/date.h"

#include <fmt/chrono.h>

#include <ctime>

namespace penstock::http {

std::string_view http_date() {
  thread_local std::time_t at = 0;
  thread_local std::string text;
  std::time_t now = std::time(nullptr);
  if (now != at) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", parts);
    at = now;
  }
  return text;
}

}  // namespace penstock::http
