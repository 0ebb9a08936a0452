#include <gtest/gtest.h>

#include "flow/readiness.h"
#include "flow/test/api_harness.h"
#include "json/value.h"

namespace penstock::ext {

void register_apis_health(base::Registry& registry);

namespace {

struct HealthApi : testing::Test {
  flow::ApiHarness api;
  std::vector<std::string> obstacles;
  flow::Readiness readiness{[this] { return obstacles; }};
  HealthApi() {
    api.services.put(&readiness);
    api.build(register_apis_health);
  }
  std::pair<int, std::string> get(std::string path) {
    http::FakeExchange exchange(api.loop, "GET", std::move(path));
    api.run(exchange);
    return {exchange.status(), exchange.answer()};
  }
};

TEST_F(HealthApi, IsAliveEvenWhenItIsNotReady) {
  obstacles = {"the model 'm' cannot be served"};
  EXPECT_EQ(get("/healthz"), std::pair(200, std::string(R"({"alive":true})")));
}

TEST_F(HealthApi, SaysWhatIsInTheWay) {
  EXPECT_EQ(get("/readyz"), std::pair(200, std::string(R"({"ready":true})")));
  obstacles = {"the model \"m\" is not there", "the source 's' is not connected"};
  auto [status, body] = get("/readyz");
  EXPECT_EQ(status, 503);
  auto parsed = json::parse(body);
  ASSERT_TRUE(parsed.has_value()) << body;
  EXPECT_FALSE(json::bool_or(*parsed, "ready", true));
  const auto& listed = json::find(*parsed, "obstacles")->get_array();
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].as_string(), obstacles[0]);
}

TEST_F(HealthApi, IsNoUsage) {
  get("/healthz");
  auto event = api.event();
  EXPECT_EQ(event.model.size, 0U);
  EXPECT_EQ(event.route.view(), "/healthz");
}

}  // namespace
}  // namespace penstock::ext
