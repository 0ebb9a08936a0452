#include "ext/sources/http/http_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

using testing::HasSubstr;

class HttpSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    EXPECT_TRUE(source_->start(loop_, ingest::Emit([this](std::vector<ingest::Sample> samples) {
                                 if (full_) return false;
                                 ++emits_;
                                 for (auto& sample : samples) taken_.push_back(std::move(sample));
                                 return true;
                               })));
  }
  Result<std::size_t> accept(std::string type, std::string body) {
    Result<std::size_t> taken = fail(Errc::internal, "not answered");
    source_->accept(std::move(type), std::move(body), [&](Result<std::size_t> answer) { taken = std::move(answer); });
    return taken;
  }
  std::string error(std::string type, std::string body) {
    auto result = accept(std::move(type), std::move(body));
    return result ? "taken" : result.error().detail;
  }

  rt::Loop loop_;
  base::FakeClock clock_;
  std::unique_ptr<HttpSource> source_ = std::make_unique<HttpSource>("gauges", HttpSourceOptions{}, clock_);
  std::vector<ingest::Sample> taken_;
  int emits_ = 0;
  bool full_ = false;
};

TEST_F(HttpSourceTest, TakesObjectsArraysAndLines) {
  EXPECT_EQ(accept("application/json", R"({"level":3})"), 1U);
  EXPECT_EQ(accept("Application/JSON; charset=utf-8", R"([{"level":1},{"level":2,"device":"g2"}])"), 2U);
  EXPECT_EQ(accept("application/x-ndjson", "{\"level\":1}\n\n{\"level\":2}\r\n"), 2U);
  EXPECT_EQ(accept("", R"({"level":3})"), 1U);
  EXPECT_EQ(accept("application/json", "[]"), 0U);
  EXPECT_EQ(emits_, 4);
  ASSERT_EQ(taken_.size(), 6U);
  EXPECT_EQ(taken_[0].device, "gauges");
  EXPECT_EQ(taken_[0].event_time, clock_.wall());
  EXPECT_EQ(taken_[2].device, "g2");
  EXPECT_EQ(source_->status().messages, 6U);
}

TEST_F(HttpSourceTest, NamesWhatIsWrongAndTakesNothingOfTheRequest) {
  EXPECT_THAT(error("application/json", R"([{"a":1},{"a":2},3])"), HasSubstr("element 2"));
  EXPECT_THAT(error("application/x-ndjson", "{\"a\":1}\n{\"a\":"), HasSubstr("line 2"));
  EXPECT_THAT(error("application/x-ndjson", "{\"a\":1}\n[1]\n"), HasSubstr("line 2"));
  EXPECT_THAT(error("image/png", "a,b"), HasSubstr("application/x-ndjson"));
  EXPECT_NE(error("application/json", ""), "taken");
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(source_->status().dropped, 5U);
}

TEST_F(HttpSourceTest, SaysThatAPipelineIsFull) {
  full_ = true;
  auto result = accept("application/json", R"([{"a":1},{"a":2}])");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::backpressure);
  EXPECT_EQ(source_->status().dropped, 2U);
}

TEST_F(HttpSourceTest, TakesNothingWhenStopped) {
  source_->stop();
  EXPECT_EQ(accept("application/json", "{}").error().code, Errc::unavailable);
  EXPECT_FALSE(source_->status().connected);
}

TEST_F(HttpSourceTest, BoundsTheSamplesOfOneRequest) {
  std::string body;
  for (std::size_t i = 0; i <= ingest::kSamplesPerMessageMax; ++i) body += "{\"a\":1}\n";
  EXPECT_THAT(error("application/x-ndjson", body), HasSubstr("at most 10000"));
}

TEST_F(HttpSourceTest, TakesEveryFormatByItsContentType) {
  EXPECT_EQ(accept("text/plain; charset=utf-8", "m,device=g1 level=1 1769860800\nm level=2\n"), 2U);
  EXPECT_EQ(accept("text/csv", "device,level [mm]\ng2,3\n"), 1U);
  EXPECT_EQ(accept("application/cbor", std::string("\xa1\x65level\x04", 8)), 1U);
  ASSERT_EQ(taken_.size(), 4U);
  EXPECT_EQ(taken_[0].device, "g1");
  EXPECT_EQ(taken_[2].find("level")->unit, "mm");
  EXPECT_EQ(std::get<std::int64_t>(taken_[3].find("level")->value), 4);
}

TEST(HttpSource, AnswersThatComeWhenTheSourceIsGoneAreHarmless) {
  rt::Loop loop;
  base::FakeClock clock;
  auto source = std::make_unique<HttpSource>("g", HttpSourceOptions{.durable = true}, clock);
  EXPECT_TRUE(source->durable());
  ingest::Emit::Stored later;
  ASSERT_TRUE(source->start(loop, ingest::Emit([](auto) { return true; },
                                               [&](auto, ingest::Emit::Stored stored) { later = std::move(stored); })));
  std::size_t taken = 0;
  source->accept("", R"({"a":1})", [&](Result<std::size_t> answer) { taken = answer.value_or(0); });
  EXPECT_EQ(taken, 0U);
  source->stop();
  source.reset();
  later(true);
  EXPECT_EQ(taken, 1U);
}

TEST(HttpSource, AFixedFormatCountsMoreThanTheContentType) {
  rt::Loop loop;
  base::FakeClock clock;
  HttpSource source("g", {.format = ingest::Format::line}, clock);
  std::vector<ingest::Sample> taken;
  ASSERT_TRUE(source.start(loop, ingest::Emit([&](std::vector<ingest::Sample> samples) {
                             taken = std::move(samples);
                             return true;
                           })));
  source.accept("application/json", "m a=1", [](Result<std::size_t> answer) { EXPECT_EQ(answer, 1U); });
  EXPECT_EQ(taken.size(), 1U);
}

TEST(HttpSourceConfiguration, KnowsItsKeys) {
  auto document = config::Document::parse("http: { path: x }\nformat: xml\n", "t.yaml");
  ASSERT_TRUE(document);
  config::Map map = document->root().map();
  ingest::Context context;
  context.clock = &base::system_clock();
  make_http_source("g", map.get("http"), map, context);
  map.done();
  EXPECT_EQ(document->problems().size(), 2U) << document->report();
}

}  // namespace
}  // namespace penstock::ext
