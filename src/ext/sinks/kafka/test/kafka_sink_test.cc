#include "ext/sinks/kafka/kafka_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ext/sinks/kafka/librdkafka.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Outcome = ingest::Sent::Outcome;

std::vector<ingest::Sample> samples(int count) {
  std::vector<ingest::Sample> out;
  for (int i = 0; i < count; ++i) {
    ingest::Sample& sample = out.emplace_back();
    sample.event_time = 1'769'860'800'000'000;
    sample.device = "press-1";
    sample.sequence = static_cast<std::uint64_t>(i);
    sample.origin = std::make_shared<const std::string>("gw/p");
    sample.set("n", std::int64_t{i});
  }
  return out;
}

class KafkaSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto lib = open_librdkafka(); !lib) GTEST_SKIP() << lib.error().detail;
  }
  std::optional<ingest::Sent> send(ingest::Sink& sink, std::vector<ingest::Sample> what) {
    std::optional<ingest::Sent> answer;
    sink.send(std::make_shared<std::vector<ingest::Sample>>(std::move(what)), [&](ingest::Sent sent) {
      answer = std::move(sent);
      loop_.stop();
    });
    rt::Timer deadline(loop_);
    deadline.arm_in(20s, [&] { loop_.stop(); });
    loop_.run();
    return answer;
  }
  rt::Loop loop_;
};

// librdkafka brings a cluster of its own for tests, in this process, spoken to over TCP.
TEST_F(KafkaSinkTest, ConfirmsWhatTheBrokersHave) {
  KafkaSink sink({.settings = {{"test.mock.num.brokers", "3"}, {"enable.idempotence", "true"}, {"log_level", "0"}},
                  .brokers = "mock",
                  .topic = "readings"});
  ASSERT_TRUE(sink.start(loop_));
  for (int round = 0; round < 3; ++round) {
    auto answer = send(sink, samples(500));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->outcome, Outcome::confirmed) << answer->why;
    EXPECT_TRUE(answer->rejected.empty());
  }
  EXPECT_EQ(sink.status().messages, 1'500U);
  EXPECT_TRUE(sink.status().connected);
  sink.stop();
}

TEST_F(KafkaSinkTest, NamesTheMessagesThatNoBrokerWillTake) {
  KafkaSink sink({.settings = {{"test.mock.num.brokers", "1"}, {"message.max.bytes", "2000"}, {"log_level", "0"}},
                  .brokers = "mock",
                  .topic = "readings"});
  ASSERT_TRUE(sink.start(loop_));
  auto batch = samples(5);
  batch[1].set("text", std::string(5'000, 'x'));
  batch[3].set("text", std::string(5'000, 'x'));
  auto answer = send(sink, std::move(batch));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->outcome, Outcome::confirmed);
  EXPECT_THAT(answer->rejected, testing::ElementsAre(1U, 3U));
  EXPECT_THAT(answer->why, HasSubstr("too large"));
  EXPECT_EQ(sink.status().messages, 3U);
  sink.stop();
}

TEST_F(KafkaSinkTest, SendsAgainWhatNobodyTook) {
  KafkaSink sink({.settings = {{"bootstrap.servers", "127.0.0.1:1"}, {"message.timeout.ms", "300"}, {"log_level", "0"}},
                  .brokers = "127.0.0.1:1",
                  .topic = "readings"});
  ASSERT_TRUE(sink.start(loop_));
  auto answer = send(sink, samples(3));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->outcome, Outcome::again);
  EXPECT_FALSE(sink.status().connected);
  EXPECT_FALSE(sink.status().detail.empty());
  sink.send(std::make_shared<std::vector<ingest::Sample>>(samples(3)), [](const ingest::Sent&) { ADD_FAILURE(); });
  sink.stop();
}

TEST(KafkaSinkConfiguration, ReportsMistakes) {
  const auto report = [](const char* yaml) {
    auto document = config::Document::parse(yaml, "t.yaml", [](const std::string&) { return "s3cret"; });
    EXPECT_TRUE(document);
    config::Node kind = document->root().map().get("kafka");
    config::Map map = kind.map();
    make_kafka_sink("p", kind, map, {});
    map.done();
    return document->report();
  };
  EXPECT_EQ(report("kafka: { brokers: [ \"a:9092\", \"b:9092\" ], topic: x.y, username: u, password: \"${P}\", tls: { "
                   "ca: /f }, compress: zstd, partitioner: fnv1a_random }"),
            "");
  const std::string text = report("kafka: { brokers: \"u:${P}@h\", topic: \"a b\", timeout: 10ms, partitioner: md5 }");
  EXPECT_THAT(text, HasSubstr("host:port"));
  EXPECT_THAT(text, HasSubstr("249 letters"));
  EXPECT_THAT(text, HasSubstr("at least 1s"));
  EXPECT_THAT(text, HasSubstr("'md5' is not one of murmur2_random"));
  EXPECT_EQ(text.find("s3cret"), std::string::npos);
  EXPECT_THAT(report("kafka: {}"), HasSubstr("'topic' is missing"));
}

}  // namespace
}  // namespace penstock::ext
