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
  // Calls are being refused because there are too many. That is no obstacle: a balancer that took every busy gateway
  // away would leave none.
  std::function<bool()> shedding = [] { return false; };
  // One line per thing that is not as it should be and keeps nobody from being served.
  std::function<std::vector<std::string>()> notes = [] { return std::vector<std::string>(); };
};

// The answer's body: {"ready":true} or {"ready":false,"obstacles":[...]}, with "shedding":true while calls are refused
// and "notes":[...] when there are some.
std::string readiness_json(const std::vector<std::string>& obstacles, bool shedding,
                           const std::vector<std::string>& notes = {});

}  // namespace penstock::flow
