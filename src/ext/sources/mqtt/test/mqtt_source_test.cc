// Against a real Mosquitto.
#include "ext/sources/mqtt/mqtt_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "mqtt/test/broker.h"
#include "mqtt/test/scripted_broker.h"

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
    return ingest::Emit([this](std::vector<ingest::Sample> samples) {
      std::lock_guard lock(mutex_);
      if (full_) return false;
      for (auto& sample : samples) taken_.push_back(std::move(sample));
      return true;
    });
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

std::unique_ptr<ingest::Source> make(const std::string& yaml, std::string* report = nullptr,
                                     const std::string& data_dir = {}) {
  auto document = config::Document::parse(yaml, "t.yaml");
  EXPECT_TRUE(document);
  config::Map map = document->root().map();
  ingest::Context context;
  context.clock = &base::system_clock();
  context.data_dir = data_dir;
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

// Stands for a journal: keeps what it is given and answers when the test says so.
class Journal {
 public:
  ingest::Emit emit() {
    return ingest::Emit([](std::vector<ingest::Sample>) { return true; },
                        [this](std::vector<ingest::Sample> samples, ingest::Emit::Stored stored) {
                          std::lock_guard lock(mutex_);
                          asked_ += 1;
                          samples_ = std::move(samples);
                          stored_ = std::move(stored);
                        });
  }
  bool asked(int times) {
    return eventually([&] {
      std::lock_guard lock(mutex_);
      return asked_ >= times && stored_;
    });
  }
  void answer(bool stored) {
    ingest::Emit::Stored tell;
    {
      std::lock_guard lock(mutex_);
      tell = std::exchange(stored_, {});
    }
    tell(stored);
  }
  std::size_t size() {
    std::lock_guard lock(mutex_);
    return samples_.size();
  }

 private:
  std::mutex mutex_;
  int asked_ = 0;
  std::vector<ingest::Sample> samples_;
  ingest::Emit::Stored stored_;
};

TEST(MqttSource, AcknowledgesWhatIsStoredAndNothingBefore) {
  mqtt::test::ScriptedBroker broker;
  Journal journal;
  rt::Loop loop;
  auto source = make(fmt::format("mqtt: {}\ntopic: t\nqos: 1\n", broker.url()));
  EXPECT_TRUE(source->durable());
  ASSERT_TRUE(source->start(loop, journal.emit()));
  ASSERT_TRUE(eventually([&] { return broker.count(broker.kSubscribe) == 1; }));
  broker.publish("t", R"({"x":1})", 7);
  ASSERT_TRUE(journal.asked(1));
  std::this_thread::sleep_for(100ms);
  EXPECT_THAT(broker.acknowledged(), testing::IsEmpty());
  journal.answer(true);
  EXPECT_TRUE(eventually([&] { return broker.acknowledged() == std::vector<int>{7}; }));
  EXPECT_EQ(source->status().dropped, 0U);
}

TEST(MqttSource, AsksTheJournalAgainAndReadsNothingMeanwhile) {
  mqtt::test::ScriptedBroker broker;
  Journal journal;
  rt::Loop loop;
  auto source = make(fmt::format("mqtt: {}\ntopic: t\nqos: 1\n", broker.url()));
  ASSERT_TRUE(source->start(loop, journal.emit()));
  ASSERT_TRUE(eventually([&] { return broker.count(broker.kSubscribe) == 1; }));
  broker.publish("t", R"({"x":1})", 1);
  ASSERT_TRUE(journal.asked(1));
  broker.publish("t", R"({"x":2})", 2);
  journal.answer(false);
  ASSERT_TRUE(journal.asked(2));
  EXPECT_EQ(journal.size(), 1U);
  EXPECT_THAT(source->status().detail, testing::HasSubstr("could not be stored"));
  EXPECT_THAT(broker.acknowledged(), testing::IsEmpty());
  journal.answer(true);
  ASSERT_TRUE(journal.asked(3));
  EXPECT_EQ(broker.acknowledged(), std::vector<int>{1});
  journal.answer(true);
  EXPECT_TRUE(eventually([&] { return broker.acknowledged() == std::vector<int>({1, 2}); }));
}

TEST(MqttSource, StopsWithoutAcknowledgingWhatIsNotStored) {
  mqtt::test::ScriptedBroker broker;
  Journal journal;
  rt::Loop loop;
  auto source = make(fmt::format("mqtt: {}\ntopic: t\nqos: 1\n", broker.url()));
  ASSERT_TRUE(source->start(loop, journal.emit()));
  ASSERT_TRUE(eventually([&] { return broker.count(broker.kSubscribe) == 1; }));
  broker.publish("t", R"({"x":1})", 1);
  ASSERT_TRUE(journal.asked(1));
  source->stop();
  source.reset();
  journal.answer(true);
  EXPECT_TRUE(eventually([&] { return broker.closed(); }));
  EXPECT_THAT(broker.acknowledged(), testing::IsEmpty());
}

// The broker keeps what was not acknowledged, and sends it to the next process of the same data folder.
TEST(MqttSource, GetsAgainWhatItsPredecessorDidNotStore) {
  NEED_BROKER();
  Broker broker;
  mqtt::test::Folder data;
  Publisher publisher(broker);
  rt::Loop loop;
  const std::string yaml = fmt::format("mqtt: {}\ntopic: plant/#\nqos: 1\nversion: 5\n", broker.url());
  Journal first;
  auto source = make(yaml, nullptr, data.file("data"));
  ASSERT_TRUE(source->start(loop, first.emit()));
  ASSERT_TRUE(eventually([&] { return source->status().connected; }));
  ASSERT_TRUE(eventually([&] {
    publisher.send("plant/p1/vibration", R"({"vib":1})");
    return first.asked(1);
  }));
  source->stop();
  Pipeline pipeline;
  auto next = make(yaml, nullptr, data.file("data"));
  ASSERT_TRUE(next->start(loop, pipeline.emit()));
  EXPECT_TRUE(eventually([&] { return pipeline.has_device("p1"); })) << next->status().detail;
}

TEST(MqttSource, MakesTagsOfPropertiesAndLeavesRetainedMessagesOut) {
  NEED_BROKER();
  Broker broker;
  Pipeline pipeline;
  rt::Loop loop;
  mqtt::Options options = *mqtt::parse_url(broker.url());
  options.version = mqtt::Version::v5;
  mqtt::Connection publisher(options, {}, {});
  ASSERT_TRUE(publisher.start());
  publisher.publish({.topic = "plant/old/v", .payload = R"({"x":1})", .qos = 1, .retain = true});
  ASSERT_TRUE(eventually([&] { return publisher.status().delivered == 1; }));
  auto source =
      make(fmt::format("mqtt: {}\ntopic: plant/#\nversion: 5\nproperties: true\nretained: none\n", broker.url()));
  ASSERT_TRUE(source->start(loop, pipeline.emit()));
  ASSERT_TRUE(eventually([&] {
    publisher.publish({.topic = "plant/p1/v", .payload = R"({"x":1})", .properties = {{"line", "7"}}});
    std::this_thread::sleep_for(5ms);
    return pipeline.count() > 0;
  }));
  EXPECT_FALSE(pipeline.has_device("old"));
  EXPECT_THAT(pipeline.taken()[0].tags, testing::ElementsAre(std::pair<std::string, std::string>("line", "7")));
  const auto before = source->status().dropped;
  publisher.publish(
      {.topic = "plant/wide/v", .payload = R"({"x":1})", .qos = 1, .properties = {{"line", std::string(5000, '7')}}});
  EXPECT_TRUE(eventually([&] { return source->status().dropped == before + 1; })) << "a copy of it for each sample";
  EXPECT_FALSE(pipeline.has_device("wide"));
}

TEST(MqttSource, ReportsMistakesOfItsConfiguration) {
  std::string report;
  make("mqtt: mqtt://h\ntopic: [a/#/b]\nformat: jsn\nqos: 3\ndevice: \"{\"\nfield: x\n", &report);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 4) << report;
  make("mqtt: mqtt://h\ntopic: t\nqos: 2\ndurable: true\nretained: new\nsession: 400d\n", &report);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 2) << report;
  make("mqtt: mqtt://h\n", &report);
  EXPECT_THAT(report, testing::HasSubstr("'topic' is missing"));
}

}  // namespace
}  // namespace penstock::ext
