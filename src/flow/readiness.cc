#include "flow/readiness.h"

#include "json/value.h"

namespace penstock::flow {

std::string readiness_json(const std::vector<std::string>& obstacles, bool shedding) {
  std::string body = obstacles.empty() ? R"({"ready":true)" : R"({"ready":false,"obstacles":[)";
  for (std::size_t i = 0; i < obstacles.size(); ++i) {
    if (i > 0) body += ',';
    json::append_quoted(body, obstacles[i]);
  }
  if (!obstacles.empty()) body += ']';
  if (shedding) body += R"(,"shedding":true)";
  return body + "}";
}

}  // namespace penstock::flow
