#include "ext/sinks/log/log_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct Log {
  base::FakeClock clock;
  std::vector<std::string> lines;
  LogSink sink(base::Duration every = {}) {
    return {"watch", every, clock, [this](std::string_view line) { lines.emplace_back(line); }};
  }
};

ingest::Sample sample(const std::string& device) {
  ingest::Sample out;
  out.device = device;
  out.set("cpu", 12.5);
  return out;
}

void deliver(LogSink& sink, const ingest::Sample& one) {
  sink.send(std::make_shared<std::vector<ingest::Sample>>(1, one), [](const ingest::Sent&) {});
}

TEST(LogSink, WritesOneJsonLinePerSample) {
  Log log;
  LogSink sink = log.sink(10s);
  deliver(sink, sample("edge\n7"));
  deliver(sink, sample("edge\n7"));
  ingest::Sample hot = sample("edge\n7");
  auto alarm = std::make_shared<ingest::AlarmChange>();
  alarm->name = "hot";
  alarm->raised = true;
  hot.alarm = alarm;
  deliver(sink, hot);  // comes before its time
  ASSERT_EQ(log.lines.size(), 2U);
  for (const std::string& line : log.lines) EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  auto first = json::parse(log.lines[0]);
  auto second = json::parse(log.lines[1]);
  ASSERT_TRUE(first && second) << log.lines[0] << log.lines[1];
  EXPECT_EQ(json::string_or(*first, "level", ""), "info");
  EXPECT_EQ(json::string_or(*first, "msg", ""), "sample");
  EXPECT_EQ(json::string_or(*first, "pipeline", ""), "watch");
  EXPECT_EQ(json::string_or(*json::find(*first, "sample"), "device", ""), "edge\n7");
  EXPECT_EQ(json::string_or(*json::find(*json::find(*second, "sample"), "alarm"), "name", ""), "hot");
}

TEST(LogSink, WritesAtMostOneHundredLinesASecondAndTellsTheRest) {
  Log log;
  LogSink sink = log.sink();
  for (int i = 0; i < 130; ++i) deliver(sink, sample("a"));
  EXPECT_EQ(log.lines.size(), 100U);
  EXPECT_EQ(sink.status().dropped, 30U);
  log.clock.advance(1s);
  deliver(sink, sample("a"));
  ASSERT_EQ(log.lines.size(), 102U);
  EXPECT_THAT(log.lines[100], HasSubstr("\"count\":30"));
  EXPECT_EQ(sink.status().messages, 101U);
  for (int i = 0; i < 100; ++i) deliver(sink, sample("a"));
  sink.stop();
  EXPECT_THAT(log.lines.back(), HasSubstr("\"count\":1"));
}

TEST(LogSink, ThinsOutEachDeviceByItself) {
  Log log;
  LogSink sink = log.sink(10s);
  for (int second = 0; second < 20; ++second) {
    deliver(sink, sample("a"));
    deliver(sink, sample("b"));
    log.clock.advance(1s);
  }
  EXPECT_EQ(log.lines.size(), 4U);
  EXPECT_EQ(sink.status().dropped, 0U);
}

}  // namespace
}  // namespace penstock::ext
