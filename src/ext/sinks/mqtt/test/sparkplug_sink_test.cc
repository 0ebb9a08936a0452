#include "ext/sinks/mqtt/sparkplug_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "mqtt/test/broker.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
namespace sparkplug = mqtt::sparkplug;
using mqtt::test::Broker;
using mqtt::test::eventually;
using testing::ElementsAre;

ingest::Sample sample(const std::string& device, double value, base::WallMicros at,
                      ingest::Quality quality = ingest::Quality::good) {
  ingest::Sample out;
  out.device = device;
  out.event_time = at;
  out.quality = quality;
  out.set("temp", value, "degC");
  return out;
}

std::string line(const mqtt::Outgoing& message) {
  const auto topic = sparkplug::parse_topic(message.topic);
  const auto payload = sparkplug::decode(message.payload);
  if (!topic || !payload) return "broken";
  std::string text = message.topic.substr(std::string("spBv1.0/P/").size());
  if (payload->sequence) text += fmt::format(" #{}", *payload->sequence);
  for (const sparkplug::Metric& metric : payload->metrics) {
    const auto value = sparkplug::value_of(metric, metric.type);
    text += " " + metric.name + (metric.alias ? fmt::format("@{}", *metric.alias) : "");
    if (value && std::holds_alternative<double>(*value)) text += fmt::format("={}", std::get<double>(*value));
    if (!metric.unit.empty()) text += metric.unit;
    if (metric.historical) text += "!";
    if (metric.quality) text += fmt::format("?{}", *metric.quality);
  }
  return text;
}
std::vector<std::string> lines(const std::vector<mqtt::Outgoing>& messages) {
  std::vector<std::string> out;
  for (const auto& message : messages) out.push_back(line(message));
  return out;
}

TEST(SparkplugNode, BearsItsDevicesBeforeTheirData) {
  SparkplugNode node("P", "gw");
  EXPECT_FALSE(node.encode({sample("a", 1, 1000)}));
  const mqtt::Will first = node.will();
  EXPECT_EQ(first.topic, "spBv1.0/P/NDEATH/gw");
  EXPECT_EQ(first.qos, 1);
  EXPECT_THAT(lines(node.births(5)), ElementsAre("NBIRTH/gw #0 bdSeq Node Control/Rebirth"));
  auto sent = node.encode({sample("a", 1, 1'000'000), sample("a", 2, 2'000'000), sample("b/c", 3, 1'000'000)});
  ASSERT_TRUE(sent);
  EXPECT_THAT(lines(sent->messages),
              ElementsAre("DBIRTH/gw/a #1 temp@1=1degC", "DDATA/gw/a #2 @1=2", "DBIRTH/gw/b_c #3 temp@2=3degC"));
  EXPECT_THAT(sent->samples, ElementsAre(0, 1, 2));
  node.lost();
  EXPECT_FALSE(node.encode({sample("a", 3, 3'000'000)}));
  const auto before = sparkplug::decode(first.payload), after = sparkplug::decode(node.will().payload);
  EXPECT_EQ(std::get<std::uint64_t>(after->metrics[0].value), std::get<std::uint64_t>(before->metrics[0].value) + 1);
  EXPECT_THAT(lines(node.births(9)), ElementsAre("NBIRTH/gw #0 bdSeq Node Control/Rebirth",
                                                 "DBIRTH/gw/a #1 temp@1=2degC", "DBIRTH/gw/b_c #2 temp@2=3degC"));
}

TEST(SparkplugNode, MarksWhatIsLateAndWhatIsBad) {
  SparkplugNode node("P", "gw");
  (void)node.births(5);
  (void)node.encode({sample("a", 1, 9'000'000)});
  auto sent = node.encode({sample("a", 2, 1'000'000), sample("a", 3, 9'500'000, ingest::Quality::bad)});
  EXPECT_THAT(lines(sent->messages), ElementsAre("DDATA/gw/a #2 @1=2!", "DDATA/gw/a #3 @1=3?0"));
}

TEST(SparkplugNode, LeavesOutWhatItCannotSay) {
  SparkplugNode node("P", "gw");
  (void)node.births(5);
  auto sent = node.encode({sample("\xff", 1, 1), ingest::Sample{}});
  EXPECT_TRUE(sent->messages.empty());
  EXPECT_THAT(sent->unfit, ElementsAre(0, 1));
}

TEST(SparkplugSink, IsBornAgainWhenAHostAsks) {
  if (!Broker::installed()) GTEST_SKIP() << "no mosquitto program here: install the package mosquitto";
  Broker broker;
  std::mutex mutex;
  std::vector<std::string> heard;
  mqtt::Connection host(*mqtt::parse_url(broker.url()), {{"spBv1.0/P/#", 1}}, {.message = [&](const auto& message) {
    std::lock_guard lock(mutex);
    heard.push_back(line({.topic = std::string(message.topic), .payload = std::string(message.payload)}));
  }});
  const auto count = [&](const std::string& start) {
    std::lock_guard lock(mutex);
    return std::count_if(heard.begin(), heard.end(), [&](const auto& one) { return one.starts_with(start); });
  };
  ASSERT_TRUE(host.start());
  ASSERT_TRUE(eventually([&] { return host.status().connected; }));
  rt::Loop loop;
  std::thread thread([&] { loop.run(); });
  SparkplugSink sink(*mqtt::parse_url(broker.url()), "P", "gw");
  ASSERT_TRUE(sink.start(loop));
  ASSERT_TRUE(eventually([&] { return sink.status().connected; }));
  std::promise<ingest::Sent> answer;
  loop.post([&] {
    sink.send(std::make_shared<const std::vector<ingest::Sample>>(1, sample("a", 1, 1'000'000)),
              [&](ingest::Sent sent) { answer.set_value(std::move(sent)); });
  });
  EXPECT_EQ(answer.get_future().get().outcome, ingest::Sent::Outcome::confirmed);
  EXPECT_TRUE(eventually([&] { return count("DBIRTH/gw/a") == 1; }));
  sparkplug::Metric ask;
  ask.name = sparkplug::kRebirth;
  ask.value = true;
  const std::string command = sparkplug::encode({.timestamp_ms = 1, .sequence = std::nullopt, .metrics = {ask}});
  EXPECT_TRUE(SparkplugNode::asks_for_birth(command));
  EXPECT_TRUE(eventually([&] {
    host.publish({.topic = "spBv1.0/P/NCMD/gw", .payload = command});
    std::this_thread::sleep_for(20ms);
    return count("DBIRTH/gw/a") >= 2;
  }));
  broker.kill();
  EXPECT_TRUE(eventually([&] { return !sink.status().connected; }));
  sink.stop();
  loop.stop();
  thread.join();
}

}  // namespace
}  // namespace penstock::ext
