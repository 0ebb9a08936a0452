// Against a real Mosquitto.
#include "ext/sinks/mqtt/mqtt_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <thread>

#include "json/value.h"
#include "mqtt/test/broker.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using mqtt::test::Broker;
using mqtt::test::eventually;
namespace test = mqtt::test;

#define NEED_BROKER() \
  if (!Broker::installed()) GTEST_SKIP() << "no mosquitto program here: install the package mosquitto"

std::unique_ptr<ingest::Sink> make(const std::string& yaml, std::string* report = nullptr) {
  auto document = config::Document::parse(yaml, "t.yaml");
  EXPECT_TRUE(document);
  config::Node node = document->root().map().get("mqtt");
  config::Map map = node.map();
  auto sink = make_mqtt_sink("guard", node, map, {});
  map.done();
  if (report != nullptr) {
    *report = document->report();
  } else {
    EXPECT_EQ(document->report(), "");
  }
  return sink;
}

// A sink on a loop of its own, as the lane has it.
class Running {
 public:
  explicit Running(const std::string& yaml) : sink_(make(yaml)), thread_([this] { loop_.run(); }) {
    on_loop([this] { EXPECT_TRUE(sink_->start(loop_)); });
  }
  ~Running() {
    stop();
    loop_.stop();
    thread_.join();
  }
  void send(std::vector<ingest::Sample> samples) {
    auto batch = std::make_shared<const std::vector<ingest::Sample>>(std::move(samples));
    on_loop([&] {
      sink_->send(batch, [this](ingest::Sent sent) {
        std::lock_guard lock(mutex_);
        answers_.push_back(std::move(sent));
      });
    });
  }
  void stop() {
    on_loop([this] { sink_->stop(); });
  }
  std::vector<ingest::Sent> answers(std::size_t count) {
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex_);
      return answers_.size() >= count;
    })) << sink_->status().detail;
    std::lock_guard lock(mutex_);
    return answers_;
  }
  ingest::Status status() const { return sink_->status(); }

 private:
  void on_loop(std::function<void()> work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  rt::Loop loop_;
  std::unique_ptr<ingest::Sink> sink_;
  std::mutex mutex_;
  std::vector<ingest::Sent> answers_;
  std::thread thread_;
};

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
  Running sink(
      fmt::format("mqtt: {{ url: {}, topic: \"site/{{device}}/{{pipeline}}\", what: all, alarm_topic: "
                  "\"alarms/{{alarm}}\", qos: 1, version: 5, properties: true }}",
                  broker.url()));
  ASSERT_TRUE(eventually([&] { return sink.status().connected; }));
  sink.send({sample("press/3", 0.5, true), sample("a", 1)});
  EXPECT_EQ(sink.answers(1)[0].outcome, ingest::Sent::Outcome::confirmed);
  ASSERT_TRUE(eventually([&] { return listener.messages("alarms/wear").size() == 1; }));
  const auto got = listener.messages("site/press_3/guard");
  ASSERT_EQ(got.size(), 1U);
  auto first = json::parse(got[0]);
  ASSERT_TRUE(first) << got[0];
  EXPECT_EQ(json::string_or(*first, "device", ""), "press/3");
  EXPECT_DOUBLE_EQ(json::find(*first, "score")->to_number<double>(), 0.5);
  auto second = json::parse(listener.messages("alarms/wear")[0]);
  ASSERT_TRUE(second);
  EXPECT_EQ(json::string_or(*second, "name", ""), "wear");
  EXPECT_TRUE(json::bool_or(*second, "raised", false));
  EXPECT_EQ(sink.status().messages, 3U);
}

TEST(MqttSink, DeliversOnlyAlarmsWhenToldSo) {
  NEED_BROKER();
  Broker broker;
  Listener listener(broker);
  Running sink(fmt::format("mqtt: {{ url: {}, topic: \"alarms/{{alarm}}\", what: alarms }}", broker.url()));
  ASSERT_TRUE(eventually([&] { return sink.status().connected; }));
  sink.send({sample("a", 0.1)});
  sink.send({sample("a", 0.9, true)});
  for (const ingest::Sent& sent : sink.answers(2)) EXPECT_EQ(sent.outcome, ingest::Sent::Outcome::confirmed);
  EXPECT_TRUE(eventually([&] { return listener.messages("alarms/wear").size() == 1; }));
  EXPECT_EQ(sink.status().messages, 1U);
}

TEST(MqttSink, AsksToTryAgainWhileTheBrokerIsAway) {
  NEED_BROKER();
  Broker broker;
  broker.kill();
  Running sink(fmt::format("mqtt: {{ url: {}, topic: \"s/{{device}}\", qos: 1, retain: true }}", broker.url()));
  sink.send({sample("d", 1)});
  const ingest::Sent refused = sink.answers(1)[0];
  EXPECT_EQ(refused.outcome, ingest::Sent::Outcome::again);
  EXPECT_THAT(refused.why, testing::HasSubstr("connection refused"));
  broker.start();
  ASSERT_TRUE(eventually([&] { return sink.status().connected; })) << sink.status().detail;
  sink.send({sample("d", 2)});
  EXPECT_EQ(sink.answers(2)[1].outcome, ingest::Sent::Outcome::confirmed);
  Listener listener(broker);
  EXPECT_TRUE(eventually([&] { return !listener.messages("s/d").empty(); }));
  EXPECT_THAT(listener.messages("s/d").back(), testing::HasSubstr("\"score\":2"));
}

// What is acknowledged is there; what was under way when the broker died is asked for again.
TEST(MqttSink, AnswersEveryBatchOnceWhenTheBrokerDies) {
  NEED_BROKER();
  Broker broker;
  Running sink(fmt::format("mqtt: {{ url: {}, topic: \"s/{{device}}\", qos: 1 }}", broker.url()));
  ASSERT_TRUE(eventually([&] { return sink.status().connected; }));
  std::vector<ingest::Sample> many(5'000, sample("d", 1));
  for (int i = 0; i < 3; ++i) sink.send(many);
  broker.kill();
  sink.send({sample("d", 2)});
  const auto answers = sink.answers(4);
  EXPECT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers.back().outcome, ingest::Sent::Outcome::again);
}

TEST(MqttSink, SaysWhichSamplesHaveNoTopicAndWhichTheBrokerRefuses) {
  NEED_BROKER();
  test::Folder folder;
  const std::string acl = folder.write("acl", "topic readwrite open/#\n");
  Broker broker("allow_anonymous true\nacl_file " + acl + "\n");
  Running sink(
      fmt::format("mqtt: {{ url: {}, topic: \"{{field:zone}}/{{device}}\", qos: 1, version: 5 }}", broker.url()));
  ASSERT_TRUE(eventually([&] { return sink.status().connected; }));
  std::vector<ingest::Sample> samples{sample("a", 1), sample("\xff", 1), sample("b", 1)};
  for (auto& one : samples) one.set("zone", std::string("open"));
  samples[2].set("zone", std::string("closed"));
  sink.send(samples);
  const ingest::Sent sent = sink.answers(1)[0];
  EXPECT_EQ(sent.outcome, ingest::Sent::Outcome::confirmed);
  EXPECT_EQ(sent.rejected, (std::vector<std::size_t>{1, 2}));
  EXPECT_THAT(sent.why, testing::HasSubstr("access list"));
}

TEST(MqttSink, AnswersNothingAfterItsStop) {
  Running sink("mqtt: { url: \"mqtt://127.0.0.1:1\", topic: \"s/{device}\" }");
  sink.send({sample("\xff", 1)});
  EXPECT_EQ(sink.answers(1)[0].rejected, (std::vector<std::size_t>{0}));
  sink.stop();
  sink.send({sample("a", 1)});
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(sink.answers(1).size(), 1U);
}

TEST(MqttSink, ReportsMistakesOfItsConfiguration) {
  std::string report;
  make("mqtt: { url: mqtt://h, topic: \"a/{alarm}\", qos: 3, what: everything, retan: true }", &report);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 3) << report;
  make("mqtt: { topic: a }", &report);
  EXPECT_THAT(report, testing::HasSubstr("address is missing"));
  make("mqtt: { url: mqtt://h, topic: t, alarm_topic: a, properties: true }", &report);
  EXPECT_THAT(report, testing::AllOf(testing::HasSubstr("no alarms go out"), testing::HasSubstr("version: 5")));
  make("mqtt: { url: embedded, topic: t, username: me }", &report);
  EXPECT_THAT(report, testing::HasSubstr("its own credentials"));
  make("mqtt: { url: mqtt://h }", &report);
  EXPECT_THAT(report, testing::HasSubstr("'topic' is missing"));
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 0) << report;
}

// A broker of MQTT 5 says how much it takes; it would hang up otherwise, and the message come again for ever.
TEST(MqttSink, AMessageTooLargeForTheBrokerHoldsNothingUp) {
  NEED_BROKER();
  Broker broker("allow_anonymous true\nmax_packet_size 20000\n");
  Running sink(fmt::format("mqtt: {{ url: \"{}\", topic: out, qos: 1, version: 5 }}\n", broker.url()));
  ASSERT_TRUE(eventually([&] { return sink.status().connected; }));
  ingest::Sample large = sample("a", 1);
  large.set("text", std::string(30'000, 'x'));
  sink.send({sample("a", 1), large, sample("a", 2)});
  const auto answers = sink.answers(1);
  EXPECT_EQ(answers[0].outcome, ingest::Sent::Outcome::confirmed) << answers[0].why;
  EXPECT_THAT(answers[0].rejected, testing::ElementsAre(1));
}

}  // namespace
}  // namespace penstock::ext
