// Whether the gateway can serve, and what is in the way.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace penstock::flow {

// Filled by the composition root; any thread.
struct Readiness {
  // One line per thing that is not ready; empty when all is.
  std::function<std::vector<std::string>()> obstacles;
};

// The answer's body: {"ready":true} or {"ready":false,"obstacles":[...]}
std::string readiness_json(const std::vector<std::string>& obstacles);

}  // namespace penstock::flow
