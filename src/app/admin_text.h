// Words and times as JSON values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "json/value.h"

namespace penstock::app {

inline json::Value text(std::string_view s) {
  return json::Value(boost::json::string(boost::json::string_view(s.data(), s.size())));
}

inline json::Array texts(const std::vector<std::string>& list) {
  json::Array array;
  for (const std::string& item : list) array.push_back(text(item));
  return array;
}

inline json::Value time_or_null(base::WallMicros at) {
  return at == 0 ? json::Value(nullptr) : text(base::to_rfc3339(at));
}

}  // namespace penstock::app
