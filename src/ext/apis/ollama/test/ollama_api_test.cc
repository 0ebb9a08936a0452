#include "ext/apis/ollama/ollama_api.h"

#include <gmock/gmock.h>

#include "flow/test/api_harness.h"
#include "http/server.h"
#include "llm/test/fake_provider.h"
#include "net/acceptor.h"

namespace penstock::ext {

void register_apis_ollama(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A fake provider of a family that a test chooses; its events are lines.
class FamilyProvider : public llm::FakeProvider {
 public:
  FamilyProvider(net::Url url, chat::Family family) : FakeProvider(std::move(url)), family_(family) {}
  chat::Family family() const override { return family_; }
  llm::Framing framing() const override { return llm::Framing::lines; }

 private:
  chat::Family family_;
};

// The gateway's API before an upstream on the same loop, which answers as the model's name says.
struct OllamaApiTest : testing::Test {
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

  OllamaApiTest() {
    lane.set_plan(0, plan());
    api.services.put(&lane);
    api.build(register_apis_ollama);
  }
  ~OllamaApiTest() override {
    pool.close_all();
    api.loop.post(
        [this] { rt::spawn(upstream.drain(std::chrono::steady_clock::now() + 1s), [this] { api.loop.stop(); }); });
    api.loop.run();
  }

  std::shared_ptr<const llm::Plan> plan() {
    base::Registry registry;
    std::string url = fmt::format("http://127.0.0.1:{}", acceptor->endpoint().port());
    auto add = [&](const char* name, chat::Family family) {
      registry.add(name, llm::ProviderFactory{[url, family](const std::string&, config::Map&) {
                     return std::make_shared<const FamilyProvider>(*net::parse_http_url(url), family);
                   }});
    };
    add("lines", chat::Family::ollama);
    add("other", chat::Family::anthropic);
    auto document = config::Document::parse(
        "providers: { lab: { type: lines }, far: { type: other } }\n"
        "models: { chat: { route: [lab/plain] }, streamed: { route: [lab/stream] }, cut: { route: [lab/cut] },\n"
        "          away: { route: [far/plain] }, \"tagged:latest\": { route: [far/plain] } }\n",
        "p.yaml");
    config::Map root = document->root().map();
    return llm::Plan::parse(root.get("providers"), root.get("models").map().entries(), registry);
  }

  rt::Task<void> answer(http::Exchange& x) {
    std::string what(x.request().path.substr(1));
    auto body = co_await x.read_body(10'000);
    bodies.emplace_back(body.value_or("?"));
    http::ResponseHead head(200);
    head.add("content-type", what == "plain" ? "application/json" : "application/x-ndjson");
    if (what == "plain") {
      co_await x.respond(std::move(head), R"({ "text":"usage 3 4 1" })");
      co_return;
    }
    x.begin(std::move(head));
    co_await x.write("one\ntwo\n");
    if (what == "cut") {
      x.abort();
      co_return;
    }
    co_await x.write("end\n");
    co_await x.finish();
  }

  struct Said {
    int status;
    std::string body;
    std::string type;
  };
  Said ask(std::string method, std::string path, std::string body = "") {
    http::FakeExchange exchange(api.loop, std::move(method), std::move(path), std::move(body));
    api.run(exchange);
    return {exchange.status(), exchange.answer(), exchange.answer_field("content-type")};
  }
  Said post(std::string path, std::string body) { return ask("POST", std::move(path), std::move(body)); }
};

constexpr const char* kHi = R"("messages":[{"role":"user","content":"hi"}])";

TEST_F(OllamaApiTest, PassesItsOwnDialectOnByteForByte) {
  std::string body = fmt::format(R"({{ "model":"chat", {},"stream":false,"options":{{"num_ctx":1}} }})", kHi);
  Said said = post("/api/chat", body);
  EXPECT_EQ(said.status, 200);
  EXPECT_EQ(said.body, R"({ "text":"usage 3 4 1" })");
  EXPECT_THAT(bodies, ElementsAre(body));
}

TEST_F(OllamaApiTest, StreamsLinesUnlessToldNotTo) {
  Said said = post("/api/chat", fmt::format(R"({{"model":"streamed",{}}})", kHi));
  EXPECT_EQ(said.status, 200);
  EXPECT_EQ(said.body, "one\ntwo\nend\n");
  EXPECT_EQ(said.type, "application/x-ndjson");
}

TEST_F(OllamaApiTest, ABrokenStreamEndsWithALineThatSaysSo) {
  Said said = post("/api/generate", R"({"model":"cut","prompt":"hi"})");
  EXPECT_THAT(said.body, testing::MatchesRegex("one\ntwo\n\\{\"error\":\".*broke off.*\"\\}\n"));
}

TEST_F(OllamaApiTest, TakesNamesWithTheTagThatClientsAdd) {
  EXPECT_EQ(post("/api/chat", fmt::format(R"({{"model":"chat:latest","stream":false,{}}})", kHi)).status, 200);
  EXPECT_EQ(post("/api/show", R"({"model":"chat:latest"})").status, 200);
  EXPECT_EQ(post("/api/show", R"({"name":"tagged:latest"})").status, 200);
  EXPECT_EQ(post("/api/show", R"({"model":"chat:8b"})").status, 404);
}

TEST_F(OllamaApiTest, ModelsAreLoadedWhereThatMeansSomething) {
  Said said = post("/api/generate", R"({"model":"chat"})");
  EXPECT_EQ(said.body, R"({ "text":"usage 3 4 1" })");
  EXPECT_THAT(bodies, ElementsAre(R"({"model":"chat"})"));
}

TEST_F(OllamaApiTest, OtherProvidersHaveTheirsAtHand) {
  EXPECT_THAT(
      post("/api/chat", R"({"model":"away","messages":[]})").body,
      testing::MatchesRegex(
          R"(\{"model":"away","created_at":"[^"]*","message":\{"role":"assistant","content":""\},"done":true,"done_reason":"load"\})"));
  EXPECT_THAT(post("/api/generate", R"({"model":"away:latest","prompt":"","keep_alive":0})").body,
              testing::AllOf(HasSubstr(R"("model":"away:latest")"), HasSubstr(R"("response":"")"),
                             HasSubstr(R"("done_reason":"unload")")));
  EXPECT_EQ(post("/api/generate", R"({"model":"nobody"})").status, 404);
  EXPECT_THAT(bodies, IsEmpty());
}

TEST_F(OllamaApiTest, ListsAndShowsRoutes) {
  auto tags = json::parse(ask("GET", "/api/tags").body);
  ASSERT_TRUE(tags.has_value());
  const json::Array& models = tags->get_object()["models"].get_array();
  ASSERT_EQ(models.size(), 5U);
  EXPECT_EQ(json::string_or(models[0], "name", ""), "away");
  EXPECT_EQ(json::string_or(*json::find(models[0], "details"), "family", ""), "anthropic");
  EXPECT_EQ(json::string_or(models[0], "digest", "").size(), 64U);
  EXPECT_NE(json::string_or(models[0], "digest", ""), json::string_or(models[1], "digest", ""));
  auto shown = json::parse(post("/api/show", R"({"model":"chat"})").body);
  ASSERT_TRUE(shown.has_value());
  EXPECT_EQ(*json::find(*shown, "capabilities"), json::Value(json::Array{"completion", "tools"}));
  EXPECT_EQ(ask("GET", "/api/ps").body, R"({"models":[]})");
  EXPECT_THAT(ask("GET", "/api/version").body, testing::MatchesRegex(R"(\{"version":"[0-9]+\.[0-9]+\.[0-9]+"\})"));
  EXPECT_EQ(ask("GET", "/").body, "Ollama is running");
}

TEST_F(OllamaApiTest, RefusesInItsOwnWords) {
  struct Case {
    const char* path;
    std::string body;
    int status;
    const char* says;
  };
  for (const Case& each :
       {Case{"/api/chat", "{", 400, "JSON"}, Case{"/api/chat", R"({"messages":[]})", 400, "model: must be"},
        Case{"/api/chat", R"({"model":"chat","messages":"hi"})", 400, "messages: must be a list of messages"},
        Case{"/api/chat", R"({"model":"chat","messages":[],"stream":1})", 400, "stream: must be true or false"},
        Case{"/api/chat", fmt::format(R"({{"model":"chatt",{}}})", kHi), 404, "chatt"},
        Case{"/api/generate", R"({"model":"chat","prompt":["a"]})", 400, "prompt: must be a text"},
        Case{"/api/embed", R"({"model":"chat"})", 400, "input: must be a text or a list of texts"},
        Case{"/api/embeddings", R"({"model":"chat","input":"a"})", 400, "prompt: must be a text"},
        Case{"/api/show", "{}", 400, "model: must be the name"}, Case{"/api/pull", R"({"model":"x"})", 501, "gateway"},
        Case{"/api/blobs/sha256:0", "x", 501, "gateway"}}) {
    Said said = post(each.path, each.body);
    EXPECT_EQ(said.status, each.status) << each.path << each.body << said.body;
    auto parsed = json::parse(said.body);
    ASSERT_TRUE(parsed.has_value()) << said.body;
    EXPECT_THAT(std::string(json::string_or(*parsed, "error", "")), HasSubstr(each.says)) << each.path;
  }
  EXPECT_EQ(ask("DELETE", "/api/delete", R"({"model":"x"})").status, 501);
  EXPECT_THAT(bodies, IsEmpty());
}

}  // namespace
}  // namespace penstock::ext
