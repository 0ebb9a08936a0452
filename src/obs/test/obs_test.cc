#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <semaphore>
#include <set>

#include "json/value.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "obs/observer.h"

namespace penstock::obs {
namespace {

using testing::HasSubstr;
using testing::Not;

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
  Observer observer({.cores = 2, .access_log = false, .on_batch = [&](const auto& batch) {
                       batched += batch.size();
                       return base::Duration::zero();
                     }});
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
  EXPECT_THAT(text, Not(HasSubstr("kind=\"reasoning\""))) << "only where there are some";
  EXPECT_THAT(text, HasSubstr("penstock_unpriced_requests_total{model=\"chat\",target=\"\"} 2\n"));
}

TEST(Observer, AddsUpMoneyWithoutRounding) {
  Observer observer({.cores = 1, .access_log = false, .on_batch = {}});
  RequestEvent event{};
  event.model = intern("chat");
  event.target = intern("lab/small");
  event.usage_known = event.cost_known = true;
  event.cost_micros = 100'001;
  event.cache_write_tokens = 3;
  event.reasoning_tokens = 4;
  for (int i = 0; i < 3; ++i) observer.record(0, event);
  event.usage_known = event.cost_known = false;  // refused before anything was used
  event.cost_micros = 0;
  observer.record(0, event);
  observer.start();
  observer.stop();
  std::string text = observer.metrics().render();
  EXPECT_THAT(text, HasSubstr("penstock_cost_usd_total{model=\"chat\",target=\"lab/small\"} 0.300003\n"));
  EXPECT_THAT(text, HasSubstr("penstock_tokens_total{kind=\"cache_write\",model=\"chat\"} 9\n"));
  EXPECT_THAT(text, HasSubstr("penstock_tokens_total{kind=\"reasoning\",model=\"chat\"} 12\n"));
  EXPECT_THAT(text, Not(HasSubstr("penstock_unpriced_requests_total")));
}

TEST(Observer, CountsWhatAFullQueueLoses) {
  constexpr int kCapacity = 8192;
  Observer observer({.cores = 1, .access_log = false, .on_batch = {}});
  for (int i = 0; i < kCapacity + 100; ++i) observer.record(0, RequestEvent{});
  EXPECT_EQ(observer.dropped(), 100U);
  EXPECT_GT(observer.lag().count(), 0);
  observer.start();
  observer.stop();
  EXPECT_EQ(observer.lag().count(), 0);
  EXPECT_EQ(observer.requests_total(), kCapacity);
  EXPECT_EQ(observer.recent(5000).size(), 1000U);
  std::string text = observer.metrics().render();
  EXPECT_THAT(text, HasSubstr("\npenstock_events_dropped_total 100\n"));
  EXPECT_THAT(text, HasSubstr("\npenstock_event_queue_peak_events 8192\n"));
  EXPECT_THAT(text, HasSubstr("\npenstock_event_queue_capacity_events 8192\n"));
  EXPECT_THAT(text, HasSubstr("\npenstock_observer_lag_seconds 0\n"));
  EXPECT_THAT(text, HasSubstr("\npenstock_observer_visit_seconds_count 1\n"));
}

TEST(Observer, SaysHowFarItIsBehind) {
  std::binary_semaphore entered{0};
  std::binary_semaphore leave{0};
  std::atomic<bool> first{true};
  Observer observer({.cores = 1, .access_log = false, .on_batch = [&](const auto&) {
                       if (first.exchange(false)) {
                         entered.release();
                         leave.acquire();
                       }
                       return base::Duration::zero();
                     }});
  observer.start();
  observer.record(0, RequestEvent{});
  entered.acquire();
  EXPECT_EQ(observer.lag().count(), 0) << "it has seen all there is";
  observer.record(0, RequestEvent{});
  EXPECT_GT(observer.lag().count(), 0);
  leave.release();
  observer.stop();
  EXPECT_EQ(observer.requests_total(), 2U);
}

TEST(Observer, SleepsWhenNothingHappensAndWakesForTheFirstEvent) {
  std::atomic<int> visits{0};
  std::counting_semaphore<100> seen{0};
  Observer observer({.cores = 2, .access_log = false, .on_batch = [&](const auto& batch) {
                       ++visits;
                       if (!batch.empty()) seen.release(static_cast<std::ptrdiff_t>(batch.size()));
                       return base::Duration::zero();
                     }});
  observer.start();
  for (std::size_t round = 0; round < 4; ++round) {
    // Long enough for a few visits, were it not asleep.
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
    int before = visits;
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    EXPECT_LE(visits - before, 1);
    observer.record(round % 2, RequestEvent{});
    ASSERT_TRUE(seen.try_acquire_for(std::chrono::seconds(20)));
  }
  observer.stop();
}

TEST(Observer, ComesAgainWhenTheBatchAsksForIt) {
  std::atomic<int> calls{0};
  std::binary_semaphore done{0};
  Observer observer({.cores = 1, .access_log = false, .on_batch = [&](const auto&) {
                       if (++calls == 5) done.release();
                       return base::Duration(calls < 5 ? std::chrono::milliseconds(5) : std::chrono::milliseconds(0));
                     }});
  observer.start();
  EXPECT_TRUE(done.try_acquire_for(std::chrono::seconds(20))) << "without any event";
  observer.stop();
}

// In a process of its own, whose standard error is a pipe nobody reads.
TEST(Log, DropsAndCountsLinesWhenNobodyReads) {
  pid_t child = ::fork();
  if (child == 0) {
    std::array<int, 2> ends{};
    bool fine = ::pipe(ends.data()) == 0 && ::dup2(ends[1], STDERR_FILENO) >= 0;
    fine = fine && ::fcntl(ends[0], F_SETPIPE_SZ, 4096) > 0;
    write_log(std::string(3000, 'x') + "\n");
    fine = fine && log_writes_dropped() == 0;
    write_log(std::string(3000, 'y') + "\none\ntwo\n");
    fine = fine && log_writes_dropped() == 1 && log_lines_dropped() == 3;
    // Who reads again gets the next lines.
    std::array<char, 8192> bytes{};
    fine = fine && ::read(ends[0], bytes.data(), bytes.size()) >= 3001;
    write_log("three\n");
    fine = fine && log_writes_dropped() == 1 && ::read(ends[0], bytes.data(), bytes.size()) == 6;
    ::_exit(fine ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(AccessLog, SaysEverythingOfTheEvent) {
  AccessLog log;
  for (int i = 0; i < 300; ++i) {
    RequestEvent event{};
    event.at = 1'700'000'000'000'000 + i * 333'333;
    event.id.assign(fmt::format("id-{}", i));
    event.api = intern("openai");
    event.route = intern("/v1/chat/completions");
    event.key = intern(fmt::format("key \"{}\"", i % 150));
    event.target = intern(fmt::format("lab/model-{}", i % 70));
    event.asked.assign(i % 2 == 0 ? "chat" : "a\nb\xC3\xA9");
    event.status = 200;
    event.attempts = 2;
    event.streamed = i % 2 == 0;
    event.input_tokens = i;
    event.output_tokens = -1;
    event.total_nanos = 1'234'567 + i;
    event.overhead_nanos = 21'999;
    event.first_token_nanos = i % 2 == 0 ? 60'000'000'400 : 0;
    event.bytes_in = UINT64_MAX;
    std::string line = "kept";
    log.append(line, event);
    ASSERT_TRUE(line.starts_with("kept{") && line.ends_with("}\n"));
    auto parsed = json::parse(std::string_view(line).substr(4, line.size() - 5));
    ASSERT_TRUE(parsed.has_value()) << line;
    EXPECT_EQ(json::string_or(*parsed, "ts", ""), base::to_rfc3339(event.at));
    EXPECT_EQ(json::string_or(*parsed, "id", ""), event.id.view());
    EXPECT_EQ(json::string_or(*parsed, "api", ""), "openai");
    EXPECT_EQ(json::string_or(*parsed, "route", ""), "/v1/chat/completions");
    EXPECT_EQ(json::string_or(*parsed, "key", ""), event.key.view());
    EXPECT_EQ(json::string_or(*parsed, "target", ""), event.target.view());
    EXPECT_EQ(json::string_or(*parsed, "model", ""), event.asked.view());
    EXPECT_EQ(json::int_or(*parsed, "input_tokens", -5), i);
    EXPECT_EQ(json::int_or(*parsed, "output_tokens", -5), -1);
    EXPECT_EQ(json::bool_or(*parsed, "stream", i % 2 != 0), i % 2 == 0);
    EXPECT_THAT(line, HasSubstr("\"total_ms\":1.235,\"overhead_us\":21,\"first_token_ms\":" +
                                std::string(i % 2 == 0 ? "60000.000" : "0.000") +
                                ",\"bytes_in\":18446744073709551615,\"bytes_out\":0}"));
  }
}

TEST(AccessLog, SaysWhatACallCostAndWaitedWhereItDid) {
  RequestEvent event{};
  auto line = [&] {
    std::string text;
    AccessLog().append(text, event);
    EXPECT_TRUE(json::parse(std::string_view(text).substr(0, text.size() - 1)).has_value()) << text;
    return text;
  };
  EXPECT_THAT(line(), Not(HasSubstr("cost_usd"))) << "nothing was used";
  event.usage_known = true;
  EXPECT_THAT(line(), HasSubstr(R"(,"cost_usd":null,)")) << "unknown is not 0";
  event.cost_known = true;
  EXPECT_THAT(line(), HasSubstr(R"(,"cost_usd":0.000000,)"));
  event.cost_micros = 12'000'345;
  event.team = intern("re\"search");
  event.cache_write_tokens = 5;
  event.reasoning_tokens = 6;
  event.waited_nanos = 1'500'000;
  EXPECT_THAT(line(), HasSubstr(R"("team":"re\"search",)"));
  EXPECT_THAT(line(), HasSubstr(R"("cache_write_tokens":5,"reasoning_tokens":6,)"));
  EXPECT_THAT(line(), HasSubstr(R"("cost_usd":12.000345,"waited_ms":1.500,)"));
}

TEST(AccessLog, IsValidJsonWhateverTheCallerWrote) {
  RequestEvent event{};
  event.asked.assign("m\"\n\xff");
  event.error_type = ErrorType::caller_not_found;
  event.error.assign("no \"such\" model");
  std::string line;
  AccessLog().append(line, event);
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
