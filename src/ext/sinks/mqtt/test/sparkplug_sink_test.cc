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

TEST(SparkplugNode, DiesOnceWithTheNumberOfItsWill) {
  SparkplugNode node("P", "gw");
  EXPECT_FALSE(node.death()) << "not born yet";
  const mqtt::Will will = node.will();
  (void)node.births(5);
  const auto death = node.death();
  ASSERT_TRUE(death);
  EXPECT_EQ(death->topic, will.topic);
  EXPECT_EQ(death->payload, will.payload);
  EXPECT_EQ(death->qos, 1);
  EXPECT_FALSE(node.death());
  EXPECT_FALSE(node.encode({sample("a", 1, 1000)})) << "nothing is said after it";
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

// A host that hears all of the group P, and a node of it, at a real Mosquitto.
class SparkplugSinkAtABroker : public testing::Test {
 protected:
  void SetUp() override {
    if (!Broker::installed()) GTEST_SKIP() << "no mosquitto program here: install the package mosquitto";
    broker_ = std::make_unique<Broker>();
    host_ = std::make_unique<mqtt::Connection>(
        *mqtt::parse_url(broker_->url()), std::vector<mqtt::Subscription>{{"spBv1.0/P/#", 1}},
        mqtt::Handlers{.message = [this](const auto& message) {
          std::lock_guard lock(mutex_);
          heard_.push_back(line({.topic = std::string(message.topic), .payload = std::string(message.payload)}));
        }});
    ASSERT_TRUE(host_->start());
    ASSERT_TRUE(eventually([&] { return host_->status().connected; }));
    thread_ = std::thread([this] { loop_.run(); });
    sink_ = std::make_unique<SparkplugSink>(*mqtt::parse_url(broker_->url()), "P", "gw");
    ASSERT_TRUE(sink_->start(loop_));
    ASSERT_TRUE(eventually([&] { return sink_->status().connected && count("NBIRTH/gw") > 0; }));
  }
  void TearDown() override {
    if (!sink_) return;
    sink_->stop();
    loop_.stop();
    thread_.join();
    host_->stop({});
  }
  std::vector<std::string> heard() const {
    std::lock_guard lock(mutex_);
    return heard_;
  }
  std::ptrdiff_t count(const std::string& start) const {
    const auto all = heard();
    return std::count_if(all.begin(), all.end(), [&](const auto& one) { return one.starts_with(start); });
  }
  ingest::Sent::Outcome send(std::vector<ingest::Sample> samples) {
    std::promise<ingest::Sent> answer;
    loop_.post([&] {
      sink_->send(std::make_shared<const std::vector<ingest::Sample>>(std::move(samples)),
                  [&](ingest::Sent sent) { answer.set_value(std::move(sent)); });
    });
    return answer.get_future().get().outcome;
  }
  void ask_for_birth() {
    sparkplug::Metric ask;
    ask.name = sparkplug::kRebirth;
    ask.value = true;
    const std::string command = sparkplug::encode({.timestamp_ms = 1, .sequence = std::nullopt, .metrics = {ask}});
    EXPECT_TRUE(SparkplugNode::asks_for_birth(command));
    host_->publish({.topic = "spBv1.0/P/NCMD/gw", .payload = command});
  }

  mutable std::mutex mutex_;  // guards the one below
  std::vector<std::string> heard_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<mqtt::Connection> host_;
  rt::Loop loop_;
  std::thread thread_;
  std::unique_ptr<SparkplugSink> sink_;
};

TEST_F(SparkplugSinkAtABroker, IsBornAgainWhenAHostAsks) {
  EXPECT_EQ(send({sample("a", 1, 1'000'000)}), ingest::Sent::Outcome::confirmed);
  EXPECT_TRUE(eventually([&] { return count("DBIRTH/gw/a") == 1; }));
  EXPECT_TRUE(eventually([&] {
    ask_for_birth();
    std::this_thread::sleep_for(20ms);
    return count("DBIRTH/gw/a") >= 2;
  }));
  broker_->kill();
  EXPECT_TRUE(eventually([&] { return !sink_->status().connected; }));
}

TEST_F(SparkplugSinkAtABroker, SaysThatItDiesBeforeItGoes) {
  EXPECT_EQ(send({sample("a", 1, 1'000'000)}), ingest::Sent::Outcome::confirmed);
  sink_->stop();
  EXPECT_TRUE(eventually([&] { return count("NDEATH/gw") == 1; })) << heard().size();
  EXPECT_EQ(heard().back(), "NDEATH/gw bdSeq") << "the last word";
}

TEST_F(SparkplugSinkAtABroker, AsksThatComeTogetherAreAnsweredTogether) {
  std::vector<ingest::Sample> many;
  for (int i = 0; i < 500; ++i) many.push_back(sample(fmt::format("d{}", i), 1, 1'000'000));
  EXPECT_EQ(send(std::move(many)), ingest::Sent::Outcome::confirmed);
  constexpr int kAsked = 300;
  for (int i = 0; i < kAsked; ++i) ask_for_birth();
  EXPECT_TRUE(eventually([&] { return count("NCMD/gw") == kAsked; }));
  EXPECT_EQ(send({sample("last", 1, 1'000'000)}), ingest::Sent::Outcome::confirmed);
  EXPECT_TRUE(eventually([&] { return count("DBIRTH/gw/last") >= 1; }));
  EXPECT_GE(count("NBIRTH/gw"), 2);
  EXPECT_LT(count("NBIRTH/gw"), kAsked / 2);
}

}  // namespace
}  // namespace penstock::ext
