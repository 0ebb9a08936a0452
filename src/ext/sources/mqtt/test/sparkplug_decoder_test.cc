#include "ext/sources/mqtt/sparkplug_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
namespace sparkplug = mqtt::sparkplug;

sparkplug::Metric metric(std::string name, std::optional<std::uint64_t> alias, const sparkplug::Value& value,
                         std::string unit = {}) {
  sparkplug::Metric out;
  out.name = std::move(name);
  out.alias = alias;
  if (!out.name.empty()) out.type = sparkplug::type_of(value);
  out.value = sparkplug::raw(value);
  out.unit = std::move(unit);
  return out;
}

// A decoder and what came of each message.
struct Fixture {
  SparkplugDecoder decoder{std::nullopt};
  std::vector<ingest::Sample> samples;
  std::vector<mqtt::Outgoing> requests;
  base::SteadyTime time{1h};

  bool take(std::string_view topic, std::optional<std::uint64_t> sequence, std::vector<sparkplug::Metric> metrics,
            std::uint64_t at = 1000) {
    samples.clear();
    requests.clear();
    const std::string bytes =
        sparkplug::encode({.timestamp_ms = at, .sequence = sequence, .metrics = std::move(metrics)});
    return decoder.decode(topic, bytes, 5, time, samples, requests).has_value();
  }
  void be_born() {
    ASSERT_TRUE(take(
        "spBv1.0/P/NBIRTH/line", 0,
        {metric("bdSeq", {}, std::int64_t{4}), metric("Node Control/Rebirth", {}, false), metric("load", 1, 0.5)}));
    ASSERT_TRUE(take("spBv1.0/P/DBIRTH/line/press", 1, {metric("temp", 7, 21.5, "degC"), metric("on", 8, true)}));
  }
};

TEST(SparkplugDecoder, UnderstandsDataByWhatBirthsTold) {
  Fixture it;
  it.be_born();
  ASSERT_EQ(it.samples.size(), 1U);
  EXPECT_EQ(it.samples[0].device, "press");
  EXPECT_EQ(it.samples[0].event_time, 1'000'000);
  EXPECT_EQ(it.samples[0].find("temp")->unit, "degC");
  ASSERT_TRUE(it.take("spBv1.0/P/DDATA/line/press", 2, {metric("", 7, 22.5)}, 1500));
  ASSERT_EQ(it.samples.size(), 1U);
  EXPECT_EQ(it.samples[0].find("temp")->value, ingest::Value(22.5));
  EXPECT_EQ(it.samples[0].find("temp")->unit, "degC");
  ASSERT_TRUE(it.take("spBv1.0/P/NDATA/line", 3, {metric("", 1, 0.75)}));
  EXPECT_EQ(it.samples[0].device, "line");
  EXPECT_EQ(it.samples[0].find("load")->value, ingest::Value(0.75));
  EXPECT_TRUE(it.requests.empty());
}

TEST(SparkplugDecoder, KeepsMomentsAndQualitiesApart) {
  Fixture it;
  it.be_born();
  auto early = metric("", 7, 1.0);
  early.timestamp_ms = 100;
  early.historical = true;
  auto bad = metric("", 8, false);
  bad.quality = 0;
  ASSERT_TRUE(it.take("spBv1.0/P/DDATA/line/press", 2, {early, metric("", 7, 2.0), bad}, 200));
  ASSERT_EQ(it.samples.size(), 3U);
  EXPECT_EQ(it.samples[0].event_time, 100'000);
  EXPECT_THAT(it.samples[0].tags, testing::ElementsAre(std::pair<std::string, std::string>("historical", "true")));
  EXPECT_EQ(it.samples[1].event_time, 200'000);
  EXPECT_EQ(it.samples[2].quality, ingest::Quality::bad);
}

TEST(SparkplugDecoder, AsksForABirthItMissedAndNotTooOften) {
  Fixture it;
  EXPECT_FALSE(it.take("spBv1.0/P/DDATA/line/press", 9, {metric("", 7, 1.0)}));
  ASSERT_EQ(it.requests.size(), 1U);
  EXPECT_EQ(it.requests[0].topic, "spBv1.0/P/NCMD/line");
  auto asked = sparkplug::decode(it.requests[0].payload);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->metrics[0].name, "Node Control/Rebirth");
  EXPECT_FALSE(it.take("spBv1.0/P/DDATA/line/press", 10, {metric("", 7, 1.0)}));
  EXPECT_TRUE(it.requests.empty());
  it.time += 11s;
  EXPECT_FALSE(it.take("spBv1.0/P/DDATA/line/press", 11, {metric("", 7, 1.0)}));
  EXPECT_EQ(it.requests.size(), 1U);
}

TEST(SparkplugDecoder, NoticesAGapAndTakesTheValuesAllTheSame) {
  Fixture it;
  it.be_born();
  EXPECT_TRUE(it.take("spBv1.0/P/DDATA/line/press", 5, {metric("", 7, 1.0)}));
  EXPECT_EQ(it.samples.size(), 1U);
  EXPECT_EQ(it.requests.size(), 1U);
  EXPECT_TRUE(it.take("spBv1.0/P/DDATA/line/press", 6, {metric("", 7, 1.0)}));
  EXPECT_TRUE(it.requests.empty());
}

TEST(SparkplugDecoder, CountsFrom255To0) {
  Fixture it;
  it.be_born();
  for (std::uint64_t i = 2; i < 300; ++i) {
    ASSERT_TRUE(it.take("spBv1.0/P/DDATA/line/press", i % 256, {metric("", 7, 1.0)}));
    ASSERT_TRUE(it.requests.empty()) << i;
  }
}

TEST(SparkplugDecoder, LetsTheDeadSpeakOnceMoreAsBad) {
  Fixture it;
  it.be_born();
  ASSERT_TRUE(it.take("spBv1.0/P/DDEATH/line/press", 2, {}));
  ASSERT_EQ(it.samples.size(), 1U);
  EXPECT_EQ(it.samples[0].quality, ingest::Quality::bad);
  EXPECT_EQ(it.samples[0].find("temp")->value, ingest::Value(21.5));
  // A will of an earlier life says nothing about this one.
  ASSERT_TRUE(it.take("spBv1.0/P/NDEATH/line", {}, {metric("bdSeq", {}, std::int64_t{3})}));
  EXPECT_TRUE(it.samples.empty());
  ASSERT_TRUE(it.take("spBv1.0/P/NDEATH/line", {}, {metric("bdSeq", {}, std::int64_t{4})}));
  ASSERT_EQ(it.samples.size(), 1U) << "the press was dead already";
  EXPECT_EQ(it.samples[0].device, "line");
  EXPECT_FALSE(it.take("spBv1.0/P/NDATA/line", 3, {metric("", 1, 1.0)})) << "known of a life that is over";
  EXPECT_EQ(it.requests.size(), 1U);
}

TEST(SparkplugDecoder, RemembersNothingOfWhoWasNotBorn) {
  Fixture it;
  const std::size_t before = it.decoder.bytes();
  for (std::size_t i = 0; i < 3 * SparkplugDecoder::kNodesMax; ++i) {
    EXPECT_FALSE(it.take(fmt::format("spBv1.0/P/DDATA/stranger-{}/d", i), 0, {metric("", 7, 1.0)}));
    ASSERT_TRUE(it.take(fmt::format("spBv1.0/P/DDATA/one/d{}", i), i % 256, {}));
  }
  EXPECT_EQ(it.decoder.bytes(), before);
  it.be_born();  // there is still a place
  EXPECT_TRUE(it.take("spBv1.0/P/DDATA/line/press", 2, {metric("", 7, 22.5)}));
}

TEST(SparkplugDecoder, ANodeThatGivesWayOrDiesUnbornGivesBackWhatItHeld) {
  Fixture it;
  const auto bear = [&](const std::string& node) {
    it.take(fmt::format("spBv1.0/P/DBIRTH/{}/d", node), 0, {metric("temp", {}, 1.0)});
  };
  bear("one");
  const std::size_t one = it.decoder.bytes();
  EXPECT_GT(one, 0U);
  ASSERT_TRUE(it.take("spBv1.0/P/NDEATH/one", {}, {}));
  EXPECT_EQ(it.decoder.bytes(), 0U);
  for (std::size_t i = 0; i < 2 * SparkplugDecoder::kNodesMax; ++i) bear(fmt::format("stranger-{:04}", i));
  EXPECT_LE(it.decoder.bytes(), SparkplugDecoder::kNodesMax * (one + 20));
}

TEST(SparkplugDecoder, RemembersWhatFitsAndSaysWhatDoesNot) {
  Fixture it;
  it.be_born();
  const std::size_t born = it.decoder.bytes();
  // A node whose metrics have names of 100 KB each.
  std::string why;
  std::vector<sparkplug::Metric> wide;
  for (int i = 0; i < 9; ++i) wide.push_back(metric(std::string(100'000, static_cast<char>('a' + i)), {}, 1.0));
  const auto bear = [&](const std::string& device, const std::vector<sparkplug::Metric>& metrics) {
    const std::string bytes = sparkplug::encode({.timestamp_ms = 1, .sequence = 1, .metrics = metrics});
    auto taken =
        it.decoder.decode(fmt::format("spBv1.0/P/DBIRTH/wide/{}", device), bytes, 5, it.time, it.samples, it.requests);
    if (!taken) why = taken.error().detail;
    return taken.has_value();
  };
  ASSERT_TRUE(it.take("spBv1.0/P/NBIRTH/wide", 0, {}));
  int devices = 0;
  while (devices < 1000 && bear(fmt::format("d{}", devices), wide)) ++devices;
  EXPECT_LT(devices, 100);
  EXPECT_GT(devices, 10);
  EXPECT_THAT(why, testing::HasSubstr("48 MiB"));
  EXPECT_LE(it.decoder.bytes(), born + SparkplugDecoder::kNodeBytesMax);
  EXPECT_TRUE(it.take("spBv1.0/P/DDATA/line/press", 2, {metric("", 7, 22.5)})) << "others go on";
  // Born again smaller, and dead, it holds nothing.
  ASSERT_TRUE(it.take("spBv1.0/P/NBIRTH/wide", 0, {metric("bdSeq", {}, std::int64_t{1})}));
  ASSERT_TRUE(it.take("spBv1.0/P/NDEATH/wide", {}, {metric("bdSeq", {}, std::int64_t{1})}));
  EXPECT_EQ(it.decoder.bytes(), born);
}

TEST(SparkplugDecoder, BoundsTheMetricsOfANode) {
  Fixture it;
  ASSERT_TRUE(it.take("spBv1.0/P/NBIRTH/line", 0, {}));
  std::vector<sparkplug::Metric> many;
  for (std::size_t i = 0; i < sparkplug::kMetricsMax; ++i) many.push_back(metric(fmt::format("m{}", i), {}, 1.0));
  for (std::size_t i = 0; i < SparkplugDecoder::kMetricsMax / sparkplug::kMetricsMax; ++i)
    ASSERT_TRUE(it.take(fmt::format("spBv1.0/P/DBIRTH/line/d{}", i), i + 1, many)) << i;
  EXPECT_FALSE(it.take("spBv1.0/P/DBIRTH/line/more", 11, {metric("temp", {}, 1.0)}));
  ASSERT_TRUE(it.take("spBv1.0/P/DDEATH/line/d0", 12, {}));
  EXPECT_TRUE(it.take("spBv1.0/P/DBIRTH/line/more", 13, {metric("temp", {}, 1.0)})) << "there is room again";
}

TEST(SparkplugDecoder, AnAliasIsOfWhomItWasGivenLast) {
  Fixture it;
  it.be_born();
  ASSERT_TRUE(it.take("spBv1.0/P/DBIRTH/line/mill", 2, {metric("rpm", 7, 1.0), metric("rpm", 9, 1.0)}));
  EXPECT_FALSE(it.take("spBv1.0/P/DDATA/line/press", 3, {metric("", 7, 2.0)})) << "given to the mill, which gave it up";
  ASSERT_TRUE(it.take("spBv1.0/P/DBIRTH/line/press", 4, {metric("temp", 5, 1.0)}));
  ASSERT_TRUE(it.take("spBv1.0/P/DDATA/line/mill", 5, {metric("", 9, 2.0)}));
  EXPECT_EQ(it.samples.at(0).find("rpm")->value, ingest::Value(2.0));
}

TEST(SparkplugDecoder, SplitsWhatIsTooMuchForOneSample) {
  Fixture it;
  std::vector<sparkplug::Metric> many;
  for (int i = 0; i < 1200; ++i) many.push_back(metric(fmt::format("m{}", i), {}, 1.0));
  ASSERT_TRUE(it.take("spBv1.0/P/NBIRTH/line", 0, many));
  ASSERT_EQ(it.samples.size(), 3U);
  EXPECT_EQ(it.samples[0].fields.size(), 512U);
  ASSERT_TRUE(it.take("spBv1.0/P/NDEATH/line", {}, {}));
  EXPECT_EQ(it.samples.size(), 3U);
  EXPECT_EQ(it.samples[2].quality, ingest::Quality::bad);
}

TEST(SparkplugDecoder, RefusesNamesThatBreakTopics) {
  Fixture it;
  EXPECT_FALSE(it.take("spBv1.0/P/NBIRTH/li\x01ne", 0, {}));
  EXPECT_FALSE(it.take("spBv1.0/P/DBIRTH/line/\xff", 1, {metric("temp", 7, 1.0)}));
}

TEST(SparkplugDecoder, PassesOverCommandsAndHosts) {
  Fixture it;
  EXPECT_TRUE(it.take("spBv1.0/P/NCMD/line", {}, {metric("Node Control/Rebirth", {}, true)}));
  EXPECT_TRUE(it.take("spBv1.0/STATE/scada", {}, {}));
  EXPECT_FALSE(it.take("plant/x", {}, {}));
  EXPECT_TRUE(it.samples.empty());
}

}  // namespace
}  // namespace penstock::ext
