#include "base/registry.h"
#include "flow/dialect.h"
#include "flow/readiness.h"

namespace penstock::ext {
namespace {

rt::Task<void> alive(flow::Call& call) { co_await flow::respond_json(call, 200, R"({"alive":true})"); }

rt::Task<void> ready(flow::Call& call, const flow::Readiness& readiness) {
  std::vector<std::string> obstacles = readiness.obstacles();
  co_await flow::respond_json(call, obstacles.empty() ? 200 : 503,
                              flow::readiness_json(obstacles, readiness.shedding(), readiness.notes()));
}

void build(flow::ApiBuilder& builder) {
  const auto* readiness = builder.services().find<flow::Readiness>();
  builder.route("GET", "/healthz", "health", [](flow::Call& call, http::Params) { return alive(call); });
  builder.route("GET", "/readyz", "health",
                [readiness](flow::Call& call, http::Params) { return ready(call, *readiness); });
}

}  // namespace

void register_apis_health(base::Registry& registry) { registry.add("health", flow::ApiFactory{build}); }

}  // namespace penstock::ext
