// Against a real Mosquitto.
#include "ext/sinks/mqtt/mqtt_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "json/value.h"
#include "mqtt/test/broker.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using mqtt::test::Broker;
using mqtt::test::eventually;

#define NEED_BROKER() \
  if (!Broker::installed()) GTEST_SKIP() << "no mosquitto program here: install the package mosquitto"

std::unique_ptr<ingest::Sink> make(const std::string& yaml, std::string* report = nullptr) {
  auto document = config::Document::parse(yaml, "t.yaml");
  EXPECT_TRUE(document);
  auto sink = make_mqtt_sink("guard", document->root().map().get("mqtt"), {});
  if (report != nullptr) {
    *report = document->report();
  } else {
    EXPECT_EQ(document->report(), "");
  }
  return sink;
}

ingest::Sample sample(const std::string& device, double score, bool with_alarm = false) {
  ingest::Sample out;
  out.device = device;
  out.set("score", score);
  if (with_alarm) {
    auto alarm = std::make_shared<ingest::AlarmChange>();
    alarm->name = "wear";
    alarm->device = device;
    alarm->raised = true;
    out.alarm = alarm;
  }
  return out;
}

class Listener {
 public:
  explicit Listener(const Broker& broker)
      : connection_(*mqtt::parse_url(broker.url()), {{"#", 1}},
                    {.message =
                         [this](const mqtt::Incoming& message) {
                           std::lock_guard lock(mutex_);
                           messages_.emplace_back(message.topic, message.payload);
                         },
                     .burst_end = {}}) {
    EXPECT_TRUE(connection_.start());
    EXPECT_TRUE(eventually([this] {
      connection_.publish({.topic = "ready", .payload = ""});
      std::this_thread::sleep_for(2ms);
      return !messages("ready").empty();
    }));
  }
  ~Listener() { connection_.stop({}); }
  std::vector<std::string> messages(const std::string& topic) const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& [name, payload] : messages_) {
      if (name == topic) out.push_back(payload);
    }
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> messages_;
  mqtt::Connection connection_;
};

TEST(MqttSink, DeliversSamplesAndAlarms) {
  NEED_BROKER();
  Broker broker;
  ASSERT_TRUE(broker.running()) << broker.log();
  Listener listener(broker);
  rt::Loop loop;
  auto sink = make(fmt::format(
      "mqtt: {{ url: {}, topic: \"site/{{device}}/{{pipeline}}\", what: all, qos: 1, version: 5 }}", broker.url()));
  ASSERT_TRUE(sink->start(loop));
  sink->deliver(sample("press/3", 0.5, true));
  ASSERT_TRUE(eventually([&] { return listener.messages("site/press_3/guard").size() == 2; })) << sink->status().detail;
  const auto got = listener.messages("site/press_3/guard");
  auto first = json::parse(got[0]);
  ASSERT_TRUE(first) << got[0];
  EXPECT_EQ(json::string_or(*first, "device", ""), "press/3");
  EXPECT_DOUBLE_EQ(json::find(*first, "score")->to_number<double>(), 0.5);
  auto second = json::parse(got[1]);
  ASSERT_TRUE(second) << got[1];
  EXPECT_EQ(json::string_or(*second, "name", ""), "wear");
  EXPECT_TRUE(json::bool_or(*second, "raised", false));
  EXPECT_TRUE(eventually([&] { return sink->status().messages == 2; }));
  sink->stop();
  EXPECT_EQ(sink->status().dropped, 0U);
}

TEST(MqttSink, DeliversOnlyAlarmsWhenToldSo) {
  NEED_BROKER();
  Broker broker;
  Listener listener(broker);
  rt::Loop loop;
  auto sink = make(fmt::format("mqtt: {{ url: {}, topic: \"alarms/{{alarm}}\", what: alarms }}", broker.url()));
  ASSERT_TRUE(sink->start(loop));
  sink->deliver(sample("a", 0.1));
  sink->deliver(sample("a", 0.9, true));
  EXPECT_TRUE(eventually([&] { return listener.messages("alarms/wear").size() == 1; }));
  EXPECT_TRUE(eventually([&] { return sink->status().messages == 1; }));
}

TEST(MqttSink, FlushesAtStopAndKeepsTheNewestWhileTheBrokerIsAway) {
  NEED_BROKER();
  Broker broker;
  broker.kill();
  rt::Loop loop;
  auto sink = make(fmt::format("mqtt: {{ url: {}, topic: \"s/{{device}}\", qos: 1, retain: true }}", broker.url()));
  ASSERT_TRUE(sink->start(loop));
  for (int i = 0; i < 10'005; ++i) sink->deliver(sample("d", i));
  EXPECT_EQ(sink->status().dropped, 5U);
  EXPECT_FALSE(sink->status().connected);
  broker.start();
  ASSERT_TRUE(eventually([&] { return sink->status().messages == 10'000; })) << sink->status().detail;
  sink->deliver(sample("last", 1));
  sink->stop();
  EXPECT_EQ(sink->status().messages, 10'001U);
  Listener listener(broker);
  EXPECT_TRUE(eventually([&] { return !listener.messages("s/last").empty() && !listener.messages("s/d").empty(); }));
  EXPECT_THAT(listener.messages("s/d").back(), testing::HasSubstr("10004"));
}

TEST(MqttSink, DropsWhatHasNoTopic) {
  rt::Loop loop;
  auto sink = make("mqtt: { url: \"mqtt://127.0.0.1:1\", topic: \"s/{device}\" }");
  sink->deliver(sample("\xff", 1));
  EXPECT_EQ(sink->status().dropped, 1U);
}

TEST(MqttSink, ReportsMistakesOfItsConfiguration) {
  std::string report;
  make("mqtt: { url: mqtt://h, topic: \"a/{alarm}\", qos: 3, what: everything, retan: true }", &report);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 3) << report;
  make("mqtt: { topic: a }", &report);
  EXPECT_THAT(report, testing::HasSubstr("address is missing"));
  make("mqtt: { url: mqtt://h }", &report);
  EXPECT_THAT(report, testing::HasSubstr("'topic' is missing"));
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 0) << report;
}

}  // namespace
}  // namespace penstock::ext
