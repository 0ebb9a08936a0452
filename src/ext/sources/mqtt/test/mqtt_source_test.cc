// Against a real Mosquitto.
#include "ext/sources/mqtt/mqtt_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "mqtt/test/broker.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using mqtt::test::Broker;
using mqtt::test::eventually;

#define NEED_BROKER() \
  if (!Broker::installed()) GTEST_SKIP() << "no mosquitto program here: install the package mosquitto"

class Pipeline {
 public:
  ingest::Emit emit() {
    return [this](std::vector<ingest::Sample> samples) {
      std::lock_guard lock(mutex_);
      if (full_) return false;
      for (auto& sample : samples) taken_.push_back(std::move(sample));
      return true;
    };
  }
  void set_full(bool full) {
    std::lock_guard lock(mutex_);
    full_ = full;
  }
  std::vector<ingest::Sample> taken() const {
    std::lock_guard lock(mutex_);
    return taken_;
  }
  std::size_t count() const { return taken().size(); }
  bool has_device(const std::string& device) const {
    const auto all = taken();
    return std::any_of(all.begin(), all.end(), [&](const auto& sample) { return sample.device == device; });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<ingest::Sample> taken_;
  bool full_ = false;
};

std::unique_ptr<ingest::Source> make(const std::string& yaml, std::string* report = nullptr) {
  auto document = config::Document::parse(yaml, "t.yaml");
  EXPECT_TRUE(document);
  config::Map map = document->root().map();
  ingest::Context context;
  context.clock = &base::system_clock();
  auto source = make_mqtt_source("press", map.get("mqtt"), map, context);
  map.done();
  if (report != nullptr) {
    *report = document->report();
  } else {
    EXPECT_EQ(document->report(), "");
  }
  return source;
}

class Publisher {
 public:
  explicit Publisher(const Broker& broker) : connection_(*mqtt::parse_url(broker.url()), {}, {}) {
    EXPECT_TRUE(connection_.start());
  }
  void send(const std::string& topic, const std::string& payload, int qos = 1) {
    connection_.publish({.topic = topic, .payload = payload, .qos = qos});
  }
  // Sends until something arrives: the subscription may be young.
  bool reaches(const Pipeline& pipeline, const std::string& device) {
    return eventually([&] {
      send("plant/" + device + "/vibration", R"({"vib":1})");
      std::this_thread::sleep_for(5ms);
      return pipeline.has_device(device);
    });
  }

 private:
  mqtt::Connection connection_;
};

TEST(MqttSource, EmitsWhatIsPublished) {
  NEED_BROKER();
  for (const char* version : {"3.1.1", "5"}) {
    Broker broker;
    ASSERT_TRUE(broker.running()) << broker.log();
    Pipeline pipeline;
    rt::Loop loop;
    auto source = make(fmt::format("mqtt: {}\ntopic: plant/+/vibration\nqos: 1\nversion: {}\n", broker.url(), version));
    ASSERT_TRUE(source->start(loop, pipeline.emit()));
    Publisher publisher(broker);
    ASSERT_TRUE(publisher.reaches(pipeline, "ready")) << source->status().detail;
    publisher.send("plant/p1/vibration", R"([{"vib":1.5,"time":1700000000},{"vib":2.5}])");
    publisher.send("plant/p1/temperature", R"({"temp":1})");
    publisher.send("plant/last/vibration", R"({"vib":3})");
    ASSERT_TRUE(eventually([&] { return pipeline.has_device("last"); }));
    std::vector<ingest::Sample> p1;
    for (const auto& sample : pipeline.taken()) {
      EXPECT_EQ(sample.find("temp"), nullptr);
      if (sample.device == "p1") p1.push_back(sample);
    }
    ASSERT_EQ(p1.size(), 2U);
    EXPECT_EQ(p1[0].event_time, 1'700'000'000'000'000);
    EXPECT_EQ(p1[1].find("vib")->value, ingest::Value(2.5));
    EXPECT_TRUE(source->status().connected);
    source->stop();
    const std::size_t count = pipeline.count();
    publisher.send("plant/late/vibration", R"({"vib":3})");
    EXPECT_EQ(pipeline.count(), count);
  }
}

TEST(MqttSource, CountsMalformedPayloadsAndGoesOn) {
  NEED_BROKER();
  Broker broker;
  Pipeline pipeline;
  rt::Loop loop;
  auto source = make(fmt::format("mqtt: {}\ntopic: plant/#\n", broker.url()));
  ASSERT_TRUE(source->start(loop, pipeline.emit()));
  Publisher publisher(broker);
  ASSERT_TRUE(publisher.reaches(pipeline, "ready"));
  testing::internal::CaptureStderr();
  for (int i = 0; i < 5; ++i) publisher.send("plant/bad", "{not json");
  EXPECT_TRUE(publisher.reaches(pipeline, "after"));
  EXPECT_EQ(source->status().dropped, 5U);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_THAT(log, testing::HasSubstr("\"topic\":\"plant/bad\""));
}

TEST(MqttSource, CountsWhatAFullPipelineDidNotTake) {
  NEED_BROKER();
  Broker broker;
  Pipeline pipeline;
  rt::Loop loop;
  auto source = make(fmt::format("mqtt: {}\ntopic: plant/#\n", broker.url()));
  ASSERT_TRUE(source->start(loop, pipeline.emit()));
  Publisher publisher(broker);
  ASSERT_TRUE(publisher.reaches(pipeline, "ready"));
  pipeline.set_full(true);
  for (int i = 0; i < 3; ++i) publisher.send("plant/x", R"({"vib":1})");
  EXPECT_TRUE(eventually([&] { return source->status().dropped >= 3; }));
  pipeline.set_full(false);
  EXPECT_TRUE(publisher.reaches(pipeline, "after"));
}

TEST(MqttSource, FlowsAgainAfterTheBrokerWasKilled) {
  NEED_BROKER();
  Broker broker;
  Pipeline pipeline;
  rt::Loop loop;
  auto source = make(fmt::format("mqtt: {}\ntopic: plant/#\n", broker.url()));
  ASSERT_TRUE(source->start(loop, pipeline.emit()));
  Publisher publisher(broker);
  ASSERT_TRUE(publisher.reaches(pipeline, "before")) << source->status().detail;
  broker.kill();
  ASSERT_TRUE(eventually([&] { return !source->status().connected; }));
  broker.start();
  EXPECT_TRUE(publisher.reaches(pipeline, "after")) << source->status().detail;
}

TEST(MqttSource, ReportsMistakesOfItsConfiguration) {
  std::string report;
  make("mqtt: mqtt://h\ntopic: [a/#/b]\nformat: jsn\nqos: 3\ndevice: \"{\"\nfield: x\n", &report);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 4) << report;
  make("mqtt: mqtt://h\n", &report);
  EXPECT_THAT(report, testing::HasSubstr("'topic' is missing"));
}

}  // namespace
}  // namespace penstock::ext
