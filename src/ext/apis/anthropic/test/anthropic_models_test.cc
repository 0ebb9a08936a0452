#include <gmock/gmock.h>

#include "flow/test/api_harness.h"
#include "json/value.h"
#include "llm/lane.h"
#include "llm/test/fake_provider.h"

namespace penstock::ext {

void register_apis_anthropic(base::Registry& registry);

namespace anthropic {
namespace {

using testing::ElementsAre;

// A gateway with the models a, b, c, d and e.
struct ModelList : testing::Test {
  flow::ApiHarness api;
  http::ClientPool pool{api.loop};
  llm::Lane lane{{&pool}};

  ModelList() {
    base::Registry registry;
    registry.add("fake", llm::ProviderFactory{[](const std::string&, config::Map&) {
                   return std::make_shared<const llm::FakeProvider>(*net::parse_http_url("http://127.0.0.1:9"));
                 }});
    auto document = config::Document::parse(
        "providers: { lab: { type: fake } }\n"
        "models: { c: { route: [lab/m] }, a: { route: [lab/m] }, e: { route: [lab/m] }, b: { route: [lab/m] },\n"
        "          d: { route: [lab/m] } }\n",
        "p.yaml");
    config::Map root = document->root().map();
    lane.set_plan(0, llm::Plan::parse(root.get("providers"), root.get("models").map().entries(), registry));
    api.services.put(&lane);
    // Another API has these paths, for the clients that are not Anthropic's.
    for (const char* path : {"/v1/models", "/v1/models/{id...}"}) {
      api.front.route("GET", path, "other", [](flow::Call& call, http::Params) {
        return flow::refuse(call, {Errc::internal, "was to be Anthropic's"});
      });
    }
    api.build(register_apis_anthropic);
  }

  json::Value get(std::string target, int status = 200) {
    http::FakeExchange exchange(api.loop, "GET", std::move(target));
    exchange.field("anthropic-version", "2023-06-01");
    api.run(exchange);
    EXPECT_EQ(exchange.status(), status);
    auto body = json::parse(exchange.answer());
    EXPECT_TRUE(body.has_value()) << exchange.answer();
    return body ? std::move(*body) : json::Value();
  }
  static std::vector<std::string> names(const json::Value& page) {
    std::vector<std::string> ids;
    for (const json::Value& model : page.at("data").get_array()) ids.emplace_back(json::string_or(model, "id", "?"));
    return ids;
  }
};

TEST_F(ModelList, IsOnePageWhenItFits) {
  json::Value page = get("/v1/models");
  EXPECT_THAT(names(page), ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_EQ(page.at("has_more"), false);
  EXPECT_EQ(page.at("first_id"), "a");
  EXPECT_EQ(page.at("last_id"), "e");
  EXPECT_EQ(page.at("data").at(0).at("type"), "model");
}

TEST_F(ModelList, IsTurnedForward) {
  json::Value first = get("/v1/models?limit=2");
  EXPECT_THAT(names(first), ElementsAre("a", "b"));
  EXPECT_EQ(first.at("has_more"), true);
  json::Value next = get("/v1/models?limit=2&after_id=b");
  EXPECT_THAT(names(next), ElementsAre("c", "d"));
  EXPECT_EQ(next.at("has_more"), true);
  json::Value last = get("/v1/models?after_id=d&limit=2");
  EXPECT_THAT(names(last), ElementsAre("e"));
  EXPECT_EQ(last.at("has_more"), false);
}

TEST_F(ModelList, IsTurnedBack) {
  json::Value page = get("/v1/models?limit=2&before_id=d");
  EXPECT_THAT(names(page), ElementsAre("b", "c"));
  EXPECT_EQ(page.at("has_more"), true);
  EXPECT_EQ(page.at("last_id"), "c");
  EXPECT_THAT(names(get("/v1/models?limit=2&before_id=b")), ElementsAre("a"));
}

TEST_F(ModelList, EndsBehindTheLast) {
  json::Value page = get("/v1/models?after_id=e");
  EXPECT_TRUE(page.at("data").get_array().empty());
  EXPECT_EQ(page.at("has_more"), false);
  EXPECT_TRUE(page.at("first_id").is_null());
  EXPECT_TRUE(page.at("last_id").is_null());
}

TEST_F(ModelList, TakesNoOtherLimits) {
  for (std::string limit : {"0", "1001", "-1", "two", "2x"}) {
    json::Value error = get("/v1/models?limit=" + limit, 400);
    EXPECT_EQ(error.at("error").at("type"), "invalid_request_error") << limit;
  }
  EXPECT_EQ(names(get("/v1/models?limit=1000")).size(), 5U);
}

TEST_F(ModelList, ShowsOne) {
  EXPECT_EQ(get("/v1/models/c").at("id"), "c");
  EXPECT_EQ(get("/v1/models/x", 404).at("error").at("type"), "not_found_error");
}

}  // namespace
}  // namespace anthropic
}  // namespace penstock::ext
