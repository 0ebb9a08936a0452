#include "ext/apis/openai/openai_api.h"

#include <gmock/gmock.h>

#include "flow/test/api_harness.h"
#include "http/server.h"
#include "json/value.h"
#include "llm/test/fake_provider.h"
#include "net/acceptor.h"

namespace penstock::ext {

void register_apis_openai(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// The gateway's API before an upstream on the same loop, which answers as the model's name says.
struct OpenAiApiTest : testing::Test {
  flow::ApiHarness api;
  std::vector<std::string> bodies;  // the upstream received
  http::Server upstream{api.loop,
                        [this](http::Exchange& x) { return answer(x); },
                        [](int, std::string_view, const std::string& detail) { return detail; },
                        {}};
  std::unique_ptr<net::Acceptor> acceptor =
      net::Acceptor::listen(api.loop, *net::parse_endpoint({"127.0.0.1", 0}),
                            [this](int fd, const net::Endpoint& peer) { upstream.accept(fd, peer); })
          .value();
  http::ClientPool pool{api.loop};
  llm::Lane lane{{&pool}};

  OpenAiApiTest() {
    lane.set_plan(0, plan());
    api.services.put(&lane);
    api.build(register_apis_openai);
  }
  ~OpenAiApiTest() override {
    pool.close_all();
    api.loop.post(
        [this] { rt::spawn(upstream.drain(std::chrono::steady_clock::now() + 1s), [this] { api.loop.stop(); }); });
    api.loop.run();
  }

  std::shared_ptr<const llm::Plan> plan() {
    base::Registry registry;
    std::string url = fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port());
    registry.add("fake", llm::ProviderFactory{[url](const std::string&, config::Map&) {
                   return std::make_shared<const llm::FakeProvider>(*net::parse_http_url(url));
                 }});
    auto document = config::Document::parse(
        "providers: { lab: { type: fake } }\n"
        "models: { chat: { route: [lab/plain] }, streamed: { route: [lab/stream] }, cut: { route: [lab/cut] }, sick: { "
        "route: [lab/sick] },\n"
        "          refusing: { route: [lab/refusing] }, locked: { route: [lab/locked] }, down: { route: [lab/down], "
        "retry: { attempts: 1 } } }\n",
        "p.yaml");
    config::Map root = document->root().map();
    return llm::Plan::parse(root.get("providers"), root.get("models").map().entries(), registry);
  }

  rt::Task<void> answer(http::Exchange& x) {
    std::string what(x.request().path.substr(1));
    auto body = co_await x.read_body(10'000);
    bodies.emplace_back(body.value_or("?"));
    if (what == "locked") {
      http::ResponseHead head(401);
      head.add("content-type", "application/json");
      co_await x.respond(std::move(head), R"({"error":{"message":"Incorrect API key provided: sk-1234"}})");
      co_return;
    }
    if (what == "refusing" || what == "down") {
      http::ResponseHead head(what == "refusing" ? 400 : 500);
      head.add("content-type", what == "refusing" ? "application/json" : "text/html");
      co_await x.respond(std::move(head), what == "refusing" ? R"({"error":{"message":"too long"}})" : "<html>");
      co_return;
    }
    if (what == "plain") {
      http::ResponseHead head(200);
      head.add("content-type", "application/json; charset=utf-8");
      co_await x.respond(std::move(head), R"({ "text":"usage 3 4 1" })");
      co_return;
    }
    http::ResponseHead head(200);
    head.add("content-type", "text/event-stream");
    x.begin(std::move(head));
    co_await x.write("data: one\n\ndata: two\n\n");
    if (what == "cut") {
      x.abort();
      co_return;
    }
    if (what == "sick") co_await x.write("data: error now\n\n");
    if (what == "stream") co_await x.write("data: ours, usage 5 6 0\n\n");
    co_await x.write("data: end\n\n");
    co_await x.finish();
  }

  http::FakeExchange post(std::string path, std::string body) {
    return http::FakeExchange(api.loop, "POST", std::move(path), std::move(body));
  }
};

std::string chat(std::string_view model, std::string_view more = "") {
  return fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"hi"}}]{}}})", model, more);
}

std::string message_of(const http::FakeExchange& exchange) {
  auto body = json::parse(exchange.answer());
  EXPECT_TRUE(body.has_value()) << exchange.answer();
  const json::Value* error = body ? json::find(*body, "error") : nullptr;
  EXPECT_NE(error, nullptr) << exchange.answer();
  return error == nullptr ? "" : std::string(json::string_or(*error, "message", ""));
}

TEST_F(OpenAiApiTest, HandsOnTheWholeAnswerAsItCame) {
  auto exchange = post("/v1/chat/completions", chat("chat"));
  exchange.field("x-request-id", "mine-1");
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.answer(), R"({ "text":"usage 3 4 1" })");
  EXPECT_EQ(exchange.answer_field("content-type"), "application/json; charset=utf-8");
  EXPECT_EQ(exchange.answer_field("x-request-id"), "mine-1");
  EXPECT_EQ(exchange.answer_field("x-penstock-target"), "lab/plain");
  EXPECT_EQ(exchange.answer_field("x-penstock-attempts"), "1");
  EXPECT_THAT(bodies, ElementsAre(chat("chat")));
  auto event = api.event();
  EXPECT_EQ(event.status, 200);
  EXPECT_EQ(event.model.view(), "chat");
  EXPECT_EQ(event.target.view(), "lab/plain");
  EXPECT_TRUE(event.usage_known);
  EXPECT_EQ(event.input_tokens, 3);
  EXPECT_EQ(event.output_tokens, 4);
  EXPECT_EQ(event.cached_tokens, 1);
  EXPECT_EQ(event.error_type, obs::ErrorType::none);
  EXPECT_FALSE(event.streamed);
}

TEST_F(OpenAiApiTest, ForwardsEventsOneByOne) {
  auto exchange = post("/v1/chat/completions", chat("streamed", R"(,"stream":true)"));
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_THAT(exchange.answer_field("content-type"), StartsWith("text/event-stream"));
  EXPECT_THAT(exchange.writes(), ElementsAre("data: one\n\n", "data: two\n\n", "data: end\n\n"));
  EXPECT_TRUE(exchange.finished());
  EXPECT_FALSE(exchange.watched()) << "nothing of the call may be reached after it";
  auto event = api.event();
  EXPECT_TRUE(event.streamed);
  EXPECT_EQ(event.events, 3U);
  EXPECT_EQ(event.input_tokens, 5);
  EXPECT_GT(event.first_token_nanos, 0);
}

TEST_F(OpenAiApiTest, TellsTheClientThatTheRestWillNotCome) {
  auto exchange = post("/v1/chat/completions", chat("cut", R"(,"stream":true)"));
  api.run(exchange);
  ASSERT_EQ(exchange.writes().size(), 3U);
  EXPECT_THAT(exchange.writes()[2], StartsWith("data: {\"error\":{\"message\":\"the answer of 'lab/cut' broke off"));
  EXPECT_TRUE(exchange.finished());
  EXPECT_EQ(api.event().error_type, obs::ErrorType::provider_cut);
}

TEST_F(OpenAiApiTest, CountsAnErrorWithinAStream) {
  auto exchange = post("/v1/chat/completions", chat("sick", R"(,"stream":true)"));
  api.run(exchange);
  EXPECT_THAT(exchange.writes(), ElementsAre("data: one\n\n", "data: two\n\n", "data: error now\n\n", "data: end\n\n"));
  EXPECT_EQ(api.event().error_type, obs::ErrorType::provider_5xx);
}

TEST_F(OpenAiApiTest, StopsWhenTheClientLeaves) {
  auto exchange = post("/v1/chat/completions", chat("streamed", R"(,"stream":true)"));
  exchange.leave_at_write(2);
  api.run(exchange);
  EXPECT_THAT(exchange.writes(), ElementsAre("data: one\n\n"));
  EXPECT_FALSE(exchange.finished());
  EXPECT_EQ(api.event().error_type, obs::ErrorType::caller_cancelled);
}

TEST_F(OpenAiApiTest, LetsTheProviderExplainItsRefusal) {
  auto exchange = post("/v1/chat/completions", chat("refusing"));
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 400);
  EXPECT_EQ(exchange.answer(), R"({"error":{"message":"too long"}})");
  EXPECT_EQ(api.event().error_type, obs::ErrorType::provider_4xx);
}

TEST_F(OpenAiApiTest, DoesNotBlameTheCallerForTheGatewaysOwnKey) {
  auto exchange = post("/v1/chat/completions", chat("locked"));
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 502);
  EXPECT_THAT(message_of(exchange), HasSubstr("the gateway's own key"));
  EXPECT_THAT(exchange.answer(), testing::Not(HasSubstr("sk-1234")));
}

TEST_F(OpenAiApiTest, ExplainsAFailureThatIsNotInTheDialect) {
  auto exchange = post("/v1/chat/completions", chat("down"));
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 502);
  EXPECT_THAT(message_of(exchange), HasSubstr("the provider 'lab/down' answered 500"));
  EXPECT_EQ(api.event().error_type, obs::ErrorType::provider_5xx);
}

TEST_F(OpenAiApiTest, ChecksWhatRoutingReads) {
  struct Wrong {
    const char* path;
    std::string body;
    const char* says;
  };
  for (const Wrong& wrong : std::vector<Wrong>{
           {"/v1/chat/completions", "", "malformed JSON"},
           {"/v1/chat/completions", "{", "malformed JSON"},
           {"/v1/chat/completions", "[]", "must be a JSON object"},
           {"/v1/chat/completions", "{}", "'model' must be the name of a model"},
           {"/v1/chat/completions", R"({"model":7,"messages":[]})", "'model' must be"},
           {"/v1/chat/completions", R"({"model":"","messages":[]})", "'model' must be"},
           {"/v1/chat/completions", R"({"model":null,"messages":[]})", "'model' must be"},
           {"/v1/chat/completions", R"({"model":"chat"})", "'messages' must be a list of messages"},
           {"/v1/chat/completions", R"({"model":"chat","messages":"hi"})", "'messages' must be"},
           {"/v1/chat/completions", R"({"model":"chat","messages":null})", "'messages' must be"},
           {"/v1/chat/completions", R"({"model":"chat","messages":[],"stream":"yes"})",
            "'stream' must be true or false"},
           {"/v1/chat/completions", R"({"model":"chat","messages":[],"stream":1})", "'stream' must be"},
           {"/v1/chat/completions", R"({"model":"chat","model":"cheap","messages":[]})", "'model' appears twice"},
           {"/v1/chat/completions", R"({"model":"chat","messages":[],"stream":true,"stream":false})",
            "'stream' appears twice"},
           {"/v1/embeddings", R"({"model":"chat"})", "'input' must be a string or a list"},
           {"/v1/completions", R"({"prompt":"x"})", "'model' must be"},
       }) {
    auto exchange = post(wrong.path, wrong.body);
    api.run(exchange);
    EXPECT_EQ(exchange.status(), 400) << wrong.body;
    EXPECT_THAT(message_of(exchange), HasSubstr(wrong.says)) << wrong.body;
  }
  EXPECT_TRUE(bodies.empty()) << "no provider was asked";
}

TEST_F(OpenAiApiTest, LeavesTheRestToTheProvider) {
  for (std::string body : {chat("chat", R"(,"stream":null)"), chat("chat", R"(,"temperature":"hot","max_tokens":-1)"),
                           std::string(R"({"model":"chat","messages":[7]})")}) {
    auto exchange = post("/v1/chat/completions", body);
    api.run(exchange);
    EXPECT_EQ(exchange.status(), 200) << body;
    EXPECT_EQ(bodies.back(), body);
  }
}

TEST_F(OpenAiApiTest, ServesCompletionsAndEmbeddings) {
  for (const char* path : {"/v1/completions", "/v1/embeddings"}) {
    auto exchange = post(path, R"({"model":"lab/plain","prompt":"x","input":"x"})");
    api.run(exchange);
    EXPECT_EQ(exchange.status(), 200) << path;
    EXPECT_EQ(exchange.answer_field("x-penstock-target"), "lab/*");
  }
}

TEST_F(OpenAiApiTest, NamesTheModelsThereAreWhenOneIsUnknown) {
  auto exchange = post("/v1/chat/completions", chat("chatt"));
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 404);
  EXPECT_THAT(message_of(exchange), HasSubstr("did you mean 'chat'?"));
  auto event = api.event();
  EXPECT_EQ(event.error_type, obs::ErrorType::caller_not_found);
  EXPECT_EQ(event.model.size, 0U) << "a stranger's word is no label";
  EXPECT_EQ(event.asked.view(), "chatt");
}

TEST_F(OpenAiApiTest, ListsAndShowsModels) {
  http::FakeExchange list(api.loop, "GET", "/v1/models");
  api.run(list);
  auto body = json::parse(list.answer());
  ASSERT_TRUE(body.has_value());
  const auto& data = json::find(*body, "data")->get_array();
  EXPECT_EQ(data.size(), 7U);
  EXPECT_EQ(json::string_or(data.front(), "id", ""), "chat");
  EXPECT_EQ(json::string_or(data.front(), "object", ""), "model");
  http::FakeExchange one(api.loop, "GET", "/v1/models/lab%2Fx%22y");
  api.run(one);
  EXPECT_EQ(one.status(), 200);
  EXPECT_EQ(json::string_or(*json::parse(one.answer()), "id", ""), "lab/x\"y");
  http::FakeExchange none(api.loop, "GET", "/v1/models/nope");
  api.run(none);
  EXPECT_EQ(none.status(), 404);
  EXPECT_THAT(message_of(none), HasSubstr("'nope' does not exist"));
}

}  // namespace
}  // namespace penstock::ext
