#include <gmock/gmock.h>

#include "flow/test/api_harness.h"
#include "ingest/lane.h"
#include "ingest/sample_json.h"
#include "json/value.h"

namespace penstock::ext {

void register_apis_ingest(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

// Takes pushed JSON; "pull" is a source that nobody can push to.
class FakeSource : public ingest::Source {
 public:
  Result<void> start(rt::Loop&, ingest::Emit emit) override {
    emit_ = std::move(emit);
    return {};
  }
  void stop() override { emit_ = {}; }
  ingest::Status status() const override { return {true, "", 0, 0}; }
  void accept(std::string content_type, std::string body, Accepted done) override {
    if (content_type == "text/plain") return done(fail(Errc::invalid_argument, "send application/json"));
    auto samples = ingest::samples_from_json(body, {});
    if (!samples) return done(std::unexpected(samples.error()));
    std::size_t count = samples->size();
    if (!emit_(std::move(*samples))) return done(fail(Errc::backpressure, "full"));
    done(count);
  }

 private:
  ingest::Emit emit_;
};

class QuietSink : public ingest::Sink {
 public:
  Result<void> start(rt::Loop&) override { return {}; }
  void send(ingest::Batch, std::function<void(ingest::Sent)> done) override { done({}); }
  void stop() override {}
  ingest::Status status() const override { return {true, "", 0, 0}; }
};

class RefuseAll : public flow::Filter {
 public:
  Result<void> on_head(flow::Call&) override { return fail(Errc::unauthenticated, "no key"); }
};

struct IngestApiTest : testing::Test {
  base::Registry registry;
  base::FakeClock clock;
  flow::ApiHarness api;
  std::unique_ptr<ingest::Lane> lane;

  IngestApiTest() {
    registry.add("fake", ingest::SourceFactory{[](const std::string&, const config::Node&, config::Map&,
                                                  const ingest::Context&) { return std::make_unique<FakeSource>(); }});
    registry.add("quiet", ingest::SinkFactory{[](const std::string&, const config::Node&, config::Map&,
                                                 const ingest::Context&) { return std::make_unique<QuietSink>(); }});
    ingest::Context context;
    context.registry = &registry;
    context.clock = &clock;
    lane = std::make_unique<ingest::Lane>(ingest::LaneOptions{context, {&api.loop}, {}});
    auto document = config::Document::parse(
        "sources: { dev: { fake: {} } }\npipelines: { line: { from: dev, to: [ { quiet: {} } ] } }\n", "edge.yaml");
    config::Map root = document->root().map();
    ingest::Plan plan = lane->plan(root);
    EXPECT_FALSE(document->failed()) << document->report();
    lane->apply(std::move(plan));
    api.services.put(lane.get());
    api.build(register_apis_ingest);
  }
  ~IngestApiTest() override {
    lane->stop([this] { api.loop.stop(); });
    api.loop.run();
  }
  http::FakeExchange post(std::string path, std::string body, std::string_view type = "application/json") {
    http::FakeExchange exchange(api.loop, "POST", std::move(path), std::move(body));
    exchange.field("content-type", type);
    api.run(exchange);
    return exchange;
  }
};

TEST_F(IngestApiTest, TakesReadings) {
  auto exchange = post("/ingest/dev", R"([{"device":"a","temp":1},{"device":"b","temp":2}])");
  EXPECT_EQ(exchange.status(), 202) << exchange.answer();
  EXPECT_EQ(exchange.answer(), R"({"accepted":2})");
}

TEST_F(IngestApiTest, SaysWhatIsWrong) {
  EXPECT_EQ(post("/ingest/dev", "{").status(), 400);
  EXPECT_EQ(post("/ingest/dev", "{}", "text/plain").status(), 400);
  auto missing = post("/ingest/dve", R"({"temp":1})");
  EXPECT_EQ(missing.status(), 404);
  EXPECT_THAT(missing.answer(), HasSubstr("dve"));
}

TEST_F(IngestApiTest, AsksWhoIsCallingFirst) {
  std::vector<std::unique_ptr<flow::Filter>> filters;
  filters.push_back(std::make_unique<RefuseAll>());
  api.use(std::move(filters));
  EXPECT_EQ(post("/ingest/dev", R"({"temp":1})").status(), 401);
  http::FakeExchange watch(api.loop, "GET", "/pipelines/line/events");
  api.run(watch);
  EXPECT_EQ(watch.status(), 401);
}

TEST_F(IngestApiTest, ShowsWhatComesOutOfAPipelineUntilTheClientLeaves) {
  http::FakeExchange watch(api.loop, "GET", "/pipelines/line/events");
  watch.leave_at_write(2);
  rt::Timer feed(api.loop);
  int sent = 0;
  std::function<void()> send = [&] {
    ++sent;
    lane->accept("dev", "application/json", fmt::format(R"({{"device":"a","n":{}}})", sent), api.loop,
                 [](Result<std::size_t> taken) { EXPECT_TRUE(taken.has_value()); });
    feed.arm_in(20ms, send);
  };
  feed.arm_in(10ms, send);
  api.run(watch);
  EXPECT_EQ(watch.status(), 200);
  EXPECT_THAT(watch.answer_field("content-type"), StartsWith("text/event-stream"));
  ASSERT_EQ(watch.writes().size(), 1U);
  EXPECT_THAT(watch.writes()[0], StartsWith("event: sample\ndata: {"));
  EXPECT_THAT(watch.writes()[0], HasSubstr(R"("n":1)"));
  EXPECT_TRUE(watch.writes()[0].ends_with("}\n\n"));
  EXPECT_FALSE(watch.watched());
}

TEST_F(IngestApiTest, NamesThePipelineThatWasMeant) {
  http::FakeExchange watch(api.loop, "GET", "/pipelines/lin/events");
  api.run(watch);
  EXPECT_EQ(watch.status(), 404);
  EXPECT_THAT(watch.answer(), HasSubstr("did you mean 'line'?"));
}

}  // namespace
}  // namespace penstock::ext
