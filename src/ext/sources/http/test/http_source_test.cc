#include "ext/sources/http/http_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

using testing::HasSubstr;

class HttpSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    EXPECT_TRUE(source_.start(loop_, [this](std::vector<ingest::Sample> samples) {
      if (full_) return false;
      ++emits_;
      for (auto& sample : samples) taken_.push_back(std::move(sample));
      return true;
    }));
  }
  std::string error(std::string_view type, std::string_view body) {
    auto result = source_.accept(type, body);
    return result ? "taken" : result.error().detail;
  }

  rt::Loop loop_;
  base::FakeClock clock_;
  HttpSource source_{"gauges", clock_};
  std::vector<ingest::Sample> taken_;
  int emits_ = 0;
  bool full_ = false;
};

TEST_F(HttpSourceTest, TakesObjectsArraysAndLines) {
  EXPECT_EQ(source_.accept("application/json", R"({"level":3})"), 1U);
  EXPECT_EQ(source_.accept("Application/JSON; charset=utf-8", R"([{"level":1},{"level":2,"device":"g2"}])"), 2U);
  EXPECT_EQ(source_.accept("application/x-ndjson", "{\"level\":1}\n\n{\"level\":2}\r\n"), 2U);
  EXPECT_EQ(source_.accept("", R"({"level":3})"), 1U);
  EXPECT_EQ(source_.accept("application/json", "[]"), 0U);
  EXPECT_EQ(emits_, 4);
  ASSERT_EQ(taken_.size(), 6U);
  EXPECT_EQ(taken_[0].device, "gauges");
  EXPECT_EQ(taken_[0].event_time, clock_.wall());
  EXPECT_EQ(taken_[2].device, "g2");
  EXPECT_EQ(source_.status().messages, 6U);
}

TEST_F(HttpSourceTest, NamesWhatIsWrongAndTakesNothingOfTheRequest) {
  EXPECT_THAT(error("application/json", R"([{"a":1},{"a":2},3])"), HasSubstr("element 2"));
  EXPECT_THAT(error("application/x-ndjson", "{\"a\":1}\n{\"a\":"), HasSubstr("line 2"));
  EXPECT_THAT(error("application/x-ndjson", "{\"a\":1}\n[1]\n"), HasSubstr("line 2"));
  EXPECT_THAT(error("text/csv", "a,b"), HasSubstr("application/x-ndjson"));
  EXPECT_NE(error("application/json", ""), "taken");
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(source_.status().dropped, 5U);
}

TEST_F(HttpSourceTest, SaysThatAPipelineIsFull) {
  full_ = true;
  auto result = source_.accept("application/json", R"([{"a":1},{"a":2}])");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::backpressure);
  EXPECT_EQ(source_.status().dropped, 2U);
}

TEST_F(HttpSourceTest, TakesNothingWhenStopped) {
  source_.stop();
  EXPECT_EQ(source_.accept("application/json", "{}").error().code, Errc::unavailable);
  EXPECT_FALSE(source_.status().connected);
}

TEST_F(HttpSourceTest, BoundsTheSamplesOfOneRequest) {
  std::string body;
  for (std::size_t i = 0; i <= ingest::kSamplesPerMessageMax; ++i) body += "{\"a\":1}\n";
  EXPECT_THAT(error("application/x-ndjson", body), HasSubstr("at most 10000"));
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
