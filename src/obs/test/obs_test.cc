#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "json/value.h"
#include "obs/metrics.h"
#include "obs/observer.h"

namespace penstock::obs {
namespace {

using testing::HasSubstr;

TEST(Ring, KeepsOrderAndCountsWhatItDrops) {
  Ring<int> ring(4);
  for (int i = 0; i < 6; ++i) ring.push(i);
  EXPECT_EQ(ring.dropped(), 2U);
  std::vector<int> seen;
  ring.drain([&](int v) { seen.push_back(v); });
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_TRUE(ring.push(9));
}

TEST(Ring, CarriesEverythingBetweenTwoThreads) {
  Ring<std::uint64_t> ring(1024);
  std::uint64_t sum = 0;
  std::thread producer([&] {
    for (std::uint64_t i = 1; i <= 200'000;) {
      if (ring.push(i)) ++i;
    }
  });
  std::uint64_t count = 0;
  while (count < 200'000)
    ring.drain([&](std::uint64_t v) {
      sum += v;
      ++count;
    });
  producer.join();
  EXPECT_EQ(sum, 200'000ULL * 200'001 / 2);
}

TEST(Metrics, RendersThePrometheusFormat) {
  Metrics metrics;
  metrics.counter("penstock_x_total", "Help.", {{"a", "q\"\\\n"}}).add(2);
  std::array<double, 2> bounds{0.1, 1};
  metrics.histogram("penstock_y_seconds", "Help.", {{"b", "c"}}, bounds).observe(0.5);
  metrics.histogram("penstock_y_seconds", "Help.", {{"b", "c"}}, bounds).observe(5);
  metrics.on_scrape([](MetricWriter& w) {
    w.family("penstock_z", "gauge", "Help.");
    w.sample("penstock_z", {}, 1.5);
  });
  std::string text = metrics.render();
  EXPECT_THAT(text, HasSubstr("# TYPE penstock_x_total counter\npenstock_x_total{a=\"q\\\"\\\\\\n\"} 2\n"));
  EXPECT_THAT(
      text, HasSubstr("penstock_y_seconds_bucket{b=\"c\",le=\"0.1\"} 0\npenstock_y_seconds_bucket{b=\"c\",le=\"1\"} 1\n"
                      "penstock_y_seconds_bucket{b=\"c\",le=\"+Inf\"} 2\npenstock_y_seconds_sum{b=\"c\"} "
                      "5.5\npenstock_y_seconds_count{b=\"c\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("penstock_z 1.5\n"));
}

TEST(Observer, TurnsEventsIntoMetricsRecordsAndBatches) {
  std::size_t batched = 0;
  Observer observer({.cores = 2, .access_log = false, .on_batch = [&](const auto& batch) { batched += batch.size(); }});
  observer.start();
  RequestEvent event{};
  event.id.assign("req-1");
  event.api = intern("openai");
  event.model = intern("chat");
  event.status = 200;
  event.usage_known = true;
  event.input_tokens = 7;
  observer.record(0, event);
  observer.record(1, event);
  observer.stop();
  EXPECT_EQ(batched, 2U);
  EXPECT_EQ(observer.recent(10).size(), 2U);
  EXPECT_EQ(observer.recent(1).front().id.view(), "req-1");
  std::string text = observer.metrics().render();
  EXPECT_THAT(
      text,
      HasSubstr(
          "penstock_requests_total{api=\"openai\",model=\"chat\",target=\"\",status=\"200\",error_type=\"\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("penstock_tokens_total{kind=\"input\",model=\"chat\"} 14\n"));
}

TEST(AccessLog, IsValidJsonWhateverTheCallerWrote) {
  RequestEvent event{};
  event.asked.assign("m\"\n\xff");
  event.error_type = ErrorType::caller_not_found;
  event.error.assign("no \"such\" model");
  std::string line;
  append_access_line(line, event);
  auto parsed = json::parse(std::string_view(line).substr(0, line.size() - 1));
  ASSERT_TRUE(parsed.has_value()) << line;
  EXPECT_EQ(json::string_or(*parsed, "error_type", ""), "caller_not_found");
}

TEST(ErrorType, EveryNameIsDistinct) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(ErrorType::other); ++i) names.insert(to_string(static_cast<ErrorType>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorType::other) + 1);
}

}  // namespace
}  // namespace penstock::obs
