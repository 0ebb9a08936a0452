#include "flow/readiness.h"

#include "json/value.h"

namespace penstock::flow {

std::string readiness_json(const std::vector<std::string>& obstacles) {
  if (obstacles.empty()) return R"({"ready":true})";
  std::string body = R"({"ready":false,"obstacles":[)";
  for (std::size_t i = 0; i < obstacles.size(); ++i) {
    if (i > 0) body += ',';
    json::append_quoted(body, obstacles[i]);
  }
  return body + "]}";
}

}  // namespace penstock::flow
