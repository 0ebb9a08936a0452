#include "flow/readiness.h"

#include "json/value.h"

namespace penstock::flow {

namespace {

void append_list(std::string& body, std::string_view name, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  body += fmt::format(",\"{}\":[", name);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) body += ',';
    json::append_quoted(body, lines[i]);
  }
  body += ']';
}

}  // namespace

std::string readiness_json(const std::vector<std::string>& obstacles, bool shedding,
                           const std::vector<std::string>& notes) {
  std::string body = obstacles.empty() ? R"({"ready":true)" : R"({"ready":false)";
  append_list(body, "obstacles", obstacles);
  if (shedding) body += R"(,"shedding":true)";
  append_list(body, "notes", notes);
  return body + "}";
}

}  // namespace penstock::flow
