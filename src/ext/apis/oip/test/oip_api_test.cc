#include <gmock/gmock.h>

#include "flow/test/api_harness.h"
#include "infer/engine.h"
#include "infer/test/fake_runtime.h"
#include "json/value.h"

namespace penstock::ext {

void register_apis_oip(base::Registry& registry);

namespace {

using testing::HasSubstr;

struct OipApiTest : testing::Test {
  infer::FakeHome home;
  infer::Repository repository{home.registry};
  infer::Engine engine{repository, {.threads = 1, .queue_max = 4, .inline_max = std::chrono::seconds(1)}};
  flow::ApiHarness api;

  OipApiTest() {
    home.write("twice/1/model.txt", "double");
    home.write("sick/1/model.txt", "fail");
    repository.apply({home.model("twice"), home.model("sick")});
    api.services.put(&repository);
    api.services.put(&engine);
    api.build(register_apis_oip);
  }
  http::FakeExchange ask(std::string method, std::string path, std::string body = "") {
    http::FakeExchange exchange(api.loop, std::move(method), std::move(path), std::move(body));
    api.run(exchange);
    return exchange;
  }
};

constexpr const char* kRow =
    R"({"id":"7","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.5,2]}],"outputs":[{"name":"y"}]})";

TEST_F(OipApiTest, Infers) {
  auto exchange = ask("POST", "/v2/models/twice/infer", kRow);
  EXPECT_EQ(exchange.status(), 200) << exchange.answer();
  auto body = json::parse(exchange.answer());
  ASSERT_TRUE(body.has_value()) << exchange.answer();
  EXPECT_EQ(json::string_or(*body, "model_name", ""), "twice");
  EXPECT_EQ(json::string_or(*body, "id", ""), "7");
  const auto& outputs = json::find(*body, "outputs")->get_array();
  ASSERT_EQ(outputs.size(), 1U);
  EXPECT_EQ(json::dump(*json::find(outputs[0], "data")), json::dump(*json::parse("[3E0,4E0]"))) << exchange.answer();
  auto event = api.event();
  EXPECT_EQ(event.model.view(), "twice");
  EXPECT_EQ(event.status, 200);
}

TEST_F(OipApiTest, InfersInANamedVersion) {
  EXPECT_EQ(ask("POST", "/v2/models/twice/versions/1/infer", kRow).status(), 200);
  auto missing = ask("POST", "/v2/models/twice/versions/9/infer", kRow);
  EXPECT_EQ(missing.status(), 404);
  EXPECT_TRUE(json::parse(missing.answer())->get_object().contains("error")) << missing.answer();
}

TEST_F(OipApiTest, RefusesInItsOwnShape) {
  struct Wrong {
    const char* path;
    const char* body;
    int status;
  };
  for (const Wrong& wrong : std::initializer_list<Wrong>{
           {"/v2/models/twice/infer", "{", 400},
           {"/v2/models/twice/infer", R"({"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]})",
            400},
           {"/v2/models/twice/infer", R"({"inputs":[{"name":"q","shape":[1,2],"datatype":"FP32","data":[1,2]}]})", 400},
           {"/v2/models/nope/infer", kRow, 404},
           {"/v2/models/sick/infer", kRow, 500},
       }) {
    auto exchange = ask("POST", wrong.path, wrong.body);
    EXPECT_EQ(exchange.status(), wrong.status) << wrong.path << wrong.body << exchange.answer();
    auto body = json::parse(exchange.answer());
    ASSERT_TRUE(body.has_value());
    EXPECT_FALSE(json::string_or(*body, "error", "").empty()) << exchange.answer();
  }
}

TEST_F(OipApiTest, ReadsTheLengthOfTheJsonPartStrictly) {
  for (const char* length : {"x", "-1", "99999999999999999999", "12 "}) {
    http::FakeExchange exchange(api.loop, "POST", "/v2/models/twice/infer", kRow);
    exchange.field("Inference-Header-Content-Length", length);
    api.run(exchange);
    EXPECT_EQ(exchange.status(), 400) << length;
    EXPECT_THAT(exchange.answer(), HasSubstr("Inference-Header-Content-Length")) << length;
  }
  http::FakeExchange beyond(api.loop, "POST", "/v2/models/twice/infer", kRow);
  beyond.field("Inference-Header-Content-Length", "100000");
  api.run(beyond);
  EXPECT_EQ(beyond.status(), 400);
}

TEST_F(OipApiTest, DescribesServerAndModels) {
  EXPECT_THAT(ask("GET", "/v2").answer(), HasSubstr(R"("name":"penstock")"));
  EXPECT_EQ(ask("GET", "/v2/health/live").status(), 200);
  EXPECT_EQ(ask("GET", "/v2/health/ready").status(), 200);
  EXPECT_EQ(ask("GET", "/v2/models/twice/ready").status(), 200);
  auto metadata = ask("GET", "/v2/models/twice");
  EXPECT_THAT(metadata.answer(), HasSubstr(R"("name":"x")"));
  EXPECT_EQ(ask("GET", "/v2/models/nope").status(), 404);
  EXPECT_EQ(ask("GET", "/v2/models/twice/config").status(), 200);
  EXPECT_THAT(ask("GET", "/v2/models/stats").answer(), HasSubstr("twice"));
}

TEST_F(OipApiTest, IndexesTheRepository) {
  auto all = json::parse(ask("POST", "/v2/repository/index").answer());
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(all->get_array().size(), 2U);
  EXPECT_EQ(ask("POST", "/v2/repository/index", R"({"ready":true})").status(), 200);
  EXPECT_EQ(ask("POST", "/v2/repository/index", "{").status(), 400);
}

TEST_F(OipApiTest, IsNotReadyWithABrokenModel) {
  home.write("broken/1/model.txt", "nonsense");
  repository.apply({home.model("broken")});
  EXPECT_EQ(ask("GET", "/v2/health/ready").status(), 503);
  EXPECT_EQ(ask("GET", "/v2/health/live").status(), 200);
}

}  // namespace
}  // namespace penstock::ext
