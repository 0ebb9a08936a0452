#include <gmock/gmock.h>

#include <thread>

#include "ext/apis/oip/oip_api.h"
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
  http::FakeExchange ask(std::string method, std::string path, std::string body = "", std::string json_bytes = "") {
    http::FakeExchange exchange(api.loop, std::move(method), std::move(path), std::move(body));
    if (!json_bytes.empty()) exchange.field("Inference-Header-Content-Length", json_bytes);
    api.run(exchange);
    return exchange;
  }
  std::string error_of(const http::FakeExchange& exchange) {
    auto body = json::parse(exchange.answer());
    return body ? std::string(json::string_or(*body, "error", "")) : exchange.answer();
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

TEST_F(OipApiTest, SaysWhichExtensionsAreThere) {
  auto server = json::parse(ask("GET", "/v2").answer());
  std::string names = json::dump(*json::find(*server, "extensions"));
  EXPECT_EQ(names, R"(["binary_tensor_data","classification","model_configuration","model_repository",)"
                   R"x("model_repository(unload_dependents)","schedule_policy","statistics"])x");
  for (const char* path : {"/v2/systemsharedmemory/status", "/v2/cudasharedmemory/status", "/v2/trace/setting"}) {
    auto absent = ask("GET", path);
    EXPECT_EQ(absent.status(), 501) << path;
    EXPECT_THAT(error_of(absent), HasSubstr("is not offered by this server")) << path;
  }
  EXPECT_EQ(ask("POST", "/v2/systemsharedmemory/region/r/register", "{}").status(), 501);
  EXPECT_EQ(ask("POST", "/v2/repository/other/index").status(), 501);
}

TEST_F(OipApiTest, RefusesOtherMethods) {
  for (auto [method, path] :
       {std::pair("GET", "/v2/models/twice/infer"), std::pair("POST", "/v2"), std::pair("POST", "/v2/models/twice"),
        std::pair("DELETE", "/v2/models/twice/ready"), std::pair("GET", "/v2/repository/index"),
        std::pair("PUT", "/v2/health/live"), std::pair("GET", "/v2/repository/models/twice/load")}) {
    auto refused = ask(method, path);
    EXPECT_EQ(refused.status(), 405) << method << path;
    EXPECT_THAT(error_of(refused), HasSubstr("is not allowed on")) << path;
    EXPECT_NE(refused.answer_field("allow"), "") << path;
  }
}

TEST_F(OipApiTest, TakesRawRequests) {
  float values[] = {1.5F, 2, 3, 4};
  std::string body(reinterpret_cast<const char*>(values), sizeof values);
  auto answer = ask("POST", "/v2/models/twice/infer", body, "0");
  ASSERT_EQ(answer.status(), 200) << answer.answer();
  EXPECT_EQ(answer.answer_field("content-type"), "application/octet-stream");
  std::size_t json_bytes = std::stoul(answer.answer_field("Inference-Header-Content-Length"));
  auto head = json::parse(answer.answer().substr(0, json_bytes));
  ASSERT_TRUE(head) << answer.answer();
  EXPECT_THAT(json::dump(*head), HasSubstr(R"("shape":[2,2])"));
  // y doubled, and z behind it.
  ASSERT_EQ(answer.answer().size() - json_bytes, sizeof values + 8);
  float doubled[4];
  std::memcpy(doubled, answer.answer().data() + json_bytes, sizeof doubled);
  EXPECT_EQ(doubled[0], 3);
  EXPECT_EQ(doubled[3], 8);
  auto odd = ask("POST", "/v2/models/twice/infer", body.substr(0, 12), "0");
  EXPECT_EQ(odd.status(), 400);
  EXPECT_THAT(error_of(odd), HasSubstr("12 bytes are no multiple of 8"));
  EXPECT_EQ(ask("POST", "/v2/models/nope/infer", body, "0").status(), 404);
}

TEST_F(OipApiTest, ClassifiesOutputs) {
  std::string body = R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}],)"
                     R"("outputs":[{"name":"y","parameters":{"classification":1}}]})";
  EXPECT_THAT(ask("POST", "/v2/models/twice/infer", body).answer(),
              HasSubstr(R"({"name":"y","datatype":"BYTES","shape":[1],"data":["4:1"]})"));
  infer::ModelConfig batched = home.model("twice");
  batched.batch.max = 4;
  repository.apply({batched});
  // z has no rows: nothing is batched, and the whole tensor is looked at.
  EXPECT_THAT(ask("POST", "/v2/models/twice/infer", body).answer(), HasSubstr(R"("shape":[1])"));
}

TEST_F(OipApiTest, TellsWhichModelsAreReady) {
  home.write("broken/1/model.txt", "nonsense");
  repository.apply({home.model("twice"), home.model("broken")});
  EXPECT_EQ(ask("GET", "/v2/models/twice/ready").answer(), R"({"name":"twice","ready":true})");
  EXPECT_EQ(ask("GET", "/v2/models/twice/versions/1/ready").status(), 200);
  auto broken = ask("GET", "/v2/models/broken/ready");
  EXPECT_EQ(broken.status(), 503);
  EXPECT_THAT(broken.answer(), HasSubstr(R"("name":"broken","ready":false,"error":")"));
  EXPECT_THAT(broken.answer(), HasSubstr("not a usable model"));
  auto version = ask("GET", "/v2/models/twice/versions/7/ready");
  EXPECT_EQ(version.status(), 404);
  EXPECT_THAT(error_of(version), HasSubstr("has no version '7'"));
  EXPECT_EQ(ask("GET", "/v2/models/nope/ready").status(), 404);
  EXPECT_EQ(ask("GET", "/v2/models/broken").status(), 503);
  EXPECT_EQ(ask("POST", "/v2/models/broken/infer", kRow).status(), 503);
}

TEST_F(OipApiTest, UnloadsAndLoads) {
  auto gone = ask("POST", "/v2/repository/models/twice/unload", R"({"parameters":{"unload_dependents":true}})");
  EXPECT_EQ(gone.status(), 200) << gone.answer();
  EXPECT_EQ(gone.answer(), "");
  EXPECT_EQ(ask("POST", "/v2/models/twice/infer", kRow).status(), 503);
  EXPECT_THAT(ask("POST", "/v2/repository/index").answer(),
              HasSubstr(R"({"name":"twice","version":"1","state":"UNAVAILABLE","reason":"unloaded)"));
  auto back = ask("POST", "/v2/repository/models/twice/load");
  EXPECT_EQ(back.status(), 200) << back.answer();
  EXPECT_EQ(ask("POST", "/v2/models/twice/infer", kRow).status(), 200);
  EXPECT_EQ(ask("POST", "/v2/repository/models/nope/load").status(), 404);
  EXPECT_EQ(ask("POST", "/v2/repository/models/nope/unload").status(), 404);
  auto wrong = ask("POST", "/v2/repository/models/twice/load", R"({"parameters":{"file:1/x":"AAEC"}})");
  EXPECT_EQ(wrong.status(), 400);
  EXPECT_THAT(error_of(wrong), HasSubstr("'config' is missing"));
  EXPECT_EQ(ask("POST", "/v2/repository/models/twice/unload", "[]").status(), 400);
}

TEST_F(OipApiTest, StopsWatchingAClientWhoseAnswerIsOut) {
  EXPECT_FALSE(ask("POST", "/v2/models/twice/infer", kRow).watched());
  EXPECT_FALSE(ask("POST", "/v2/models/sick/infer", kRow).watched());
}

// Runs until it is told to stop; without anybody to tell it, not at all.
class EndlessModel : public infer::Model {
 public:
  const infer::ModelInfo& info() const override { return info_; }
  Result<std::vector<infer::Tensor>> run(std::span<const infer::Tensor>, std::span<const std::size_t>,
                                         const infer::RunOptions& options) const override {
    if (!options.stop.stop_possible()) return fail(Errc::internal, "this model never ends");
    for (int i = 0; i < 10'000 && !options.stop.stop_requested(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return fail(options.stop.stop_requested() ? Errc::cancelled : Errc::internal, "the run was stopped");
  }

 private:
  infer::ModelInfo info_{.platform = "endless",
                         .inputs = {{"x", infer::Datatype::fp32, {-1, 2}}},
                         .outputs = {{"y", infer::Datatype::fp32, {-1, 2}}}};
};

class EndlessRuntime : public infer::Runtime {
 public:
  Result<std::shared_ptr<const infer::Model>> load(const infer::ModelFile&, const infer::RuntimeOptions&) override {
    return std::make_shared<EndlessModel>();
  }
};

TEST_F(OipApiTest, StopsWhatAClientThatLeftAskedFor) {
  home.registry.add("endless", infer::RuntimeFactory{.file_name = "model.endless",
                                                     .make = [] { return std::make_unique<EndlessRuntime>(); },
                                                     .describe = [] { return std::string("endless"); }});
  home.write("endless/1/model.endless", "");
  repository.apply({home.model("endless")});
  http::FakeExchange exchange(api.loop, "POST", "/v2/models/endless/infer", kRow);
  rt::Timer leaving(api.loop);
  leaving.arm_in(std::chrono::milliseconds(30), [&] { exchange.leave(); });
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 499);
  EXPECT_EQ(api.event().error_type, obs::ErrorType::caller_cancelled);
}

void register_hasty(base::Registry& registry) {
  registry.add("oip", flow::ApiFactory{[](flow::ApiBuilder& builder) {
                 auto* repository = builder.services().find<infer::Repository>();
                 auto* engine = builder.services().find<infer::Engine>();
                 builder.dialect("oip", std::make_unique<OipDialect>());
                 OipApi::About about{.version = "1", .patience = std::chrono::milliseconds(30)};
                 OipApi::add_routes(builder, std::make_shared<OipApi>(*repository, *engine, std::move(about)));
               }});
}

TEST_F(OipApiTest, StopsAModelThatNeverEnds) {
  home.registry.add("endless", infer::RuntimeFactory{.file_name = "model.endless",
                                                     .make = [] { return std::make_unique<EndlessRuntime>(); },
                                                     .describe = [] { return std::string("endless"); }});
  home.write("endless/1/model.endless", "");
  repository.apply({home.model("endless"), home.model("twice")});
  flow::ApiHarness hasty;
  hasty.services.put(&repository);
  hasty.services.put(&engine);
  hasty.build(register_hasty);
  http::FakeExchange exchange(hasty.loop, "POST", "/v2/models/endless/infer", kRow);
  hasty.run(exchange);
  EXPECT_EQ(exchange.status(), 504) << exchange.answer();
  // Its thread is free again.
  EXPECT_EQ(ask("POST", "/v2/models/twice/infer", kRow).status(), 200);
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
  EXPECT_EQ(ask("GET", "/v2/health/ready").answer(), R"({"live":true,"ready":false})");
  EXPECT_EQ(ask("GET", "/v2/health/live").status(), 200);
}

}  // namespace
}  // namespace penstock::ext
