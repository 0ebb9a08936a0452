#include "mqtt/sparkplug.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::mqtt::sparkplug {
namespace {

using namespace std::string_literals;

TEST(Sparkplug, ReadsThePublishedSchema) {
  // timestamp 1486144502122; one metric "temp", alias 5, Float, 21.5, engUnit "degC", Quality 192; seq 3.
  const std::string bytes =
      "\x08\xaa\xce\xc9\xa1\xa0\x2b"s
      "\x12\x30"s
      "\x0a\x04temp\x10\x05\x20\x09"s
      "\x4a\x1f\x0a\x07"s
      "engUnit\x0a\x07Quality\x12\x06\x42\x04"s
      "degC\x12\x03\x18\xc0\x01"s
      "\x65\x00\x00\xac\x41"s
      "\x18\x03"s;
  auto payload = decode(bytes);
  ASSERT_TRUE(payload) << payload.error().detail;
  EXPECT_EQ(payload->sequence, 3U);
  ASSERT_EQ(payload->metrics.size(), 1U);
  const Metric& metric = payload->metrics[0];
  EXPECT_EQ(metric.name, "temp");
  EXPECT_EQ(metric.alias, 5U);
  EXPECT_EQ(metric.unit, "degC");
  EXPECT_EQ(metric.quality, 192);
  EXPECT_EQ(value_of(metric, metric.type), Value(21.5));
}

TEST(Sparkplug, ReadsIntegersByTheirType) {
  const auto read = [](std::uint64_t raw_value, DataType type) {
    Metric metric;
    metric.value = raw_value;
    return *value_of(metric, type);
  };
  EXPECT_EQ(read(0xff, DataType::int8), Value(std::int64_t{-1}));
  EXPECT_EQ(read(0xffffffff, DataType::int16), Value(std::int64_t{-1}));
  EXPECT_EQ(read(0xfffffffe, DataType::int32), Value(std::int64_t{-2}));
  EXPECT_EQ(read(0xffffffff, DataType::uint32), Value(std::int64_t{4294967295}));
  EXPECT_EQ(read(~0ULL, DataType::int64), Value(std::int64_t{-1}));
  EXPECT_EQ(read(~0ULL, DataType::uint64), Value(18446744073709551615.0));
}

TEST(Sparkplug, WritesWhatItReads) {
  Payload payload{.timestamp_ms = 7, .sequence = 255, .metrics = {}};
  const Value values[] = {true, std::int64_t{-5}, 2.5, std::string("running"), std::vector<double>{1, -2.5}};
  for (const Value& value : values) {
    Metric metric;
    metric.name = "m" + std::to_string(value.index());
    metric.alias = value.index();
    metric.timestamp_ms = 6;
    metric.type = type_of(value);
    metric.historical = true;
    metric.value = raw(value);
    metric.unit = "mm/s";
    metric.quality = 0;
    payload.metrics.push_back(metric);
  }
  Metric none;
  none.null = true;
  payload.metrics.push_back(none);
  auto again = decode(encode(payload));
  ASSERT_TRUE(again);
  ASSERT_EQ(again->metrics.size(), 6U);
  EXPECT_EQ(again->sequence, 255U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(value_of(again->metrics[i], again->metrics[i].type), values[i]);
    EXPECT_TRUE(again->metrics[i].historical);
    EXPECT_EQ(again->metrics[i].unit, "mm/s");
    EXPECT_EQ(again->metrics[i].quality, 0);
  }
  EXPECT_EQ(value_of(again->metrics[5], DataType::int32), std::nullopt);
}

TEST(Sparkplug, RefusesWhatIsBroken) {
  EXPECT_FALSE(decode("\x12\x7f"));               // cut short
  EXPECT_FALSE(decode("\x12\x03\x0a\x01\xff"s));  // a name that is no UTF-8
  EXPECT_FALSE(decode("{\"temp\":1}"));           // JSON
  std::string many;
  for (std::size_t i = 0; i <= kMetricsMax; ++i) many += "\x12\x00"s;
  EXPECT_FALSE(decode(many));
  EXPECT_TRUE(decode("")->metrics.empty());
}

TEST(Sparkplug, ReadsTopics) {
  auto device = parse_topic("spBv1.0/Plant/DDATA/line-1/press-3");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->kind, Kind::ddata);
  EXPECT_EQ(device->group, "Plant");
  EXPECT_EQ(device->node, "line-1");
  EXPECT_EQ(device->device, "press-3");
  EXPECT_EQ(device->text(), "spBv1.0/Plant/DDATA/line-1/press-3");
  EXPECT_EQ(parse_topic("spBv1.0/Plant/NBIRTH/line-1")->text(), "spBv1.0/Plant/NBIRTH/line-1");
  for (const char* none : {"spBv1.0/STATE/host", "spBv1.0/P/DDATA/n", "spBv1.0/P/NDATA/n/d", "spAv1.0/P/NDATA/n",
                           "spBv1.0/P/XDATA/n", "spBv1.0//NDATA/n", "spBv1.0/P/NDATA/", "a"}) {
    EXPECT_FALSE(parse_topic(none)) << none;
  }
}

}  // namespace
}  // namespace penstock::mqtt::sparkplug
