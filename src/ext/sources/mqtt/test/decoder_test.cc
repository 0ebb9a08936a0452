#include "ext/sources/mqtt/decoder.h"

#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

using Samples = std::vector<ingest::Sample>;

MqttDecoder decoder(MqttFormat format, const std::vector<std::string>& filters, const char* device = nullptr,
                    std::string field = {}) {
  std::optional<DeviceName> name;
  if (device != nullptr) name = *DeviceName::parse(device);
  return {"press", format, std::move(field), std::move(name), filters};
}

std::string device_of(MqttDecoder decode, std::string_view topic, std::string_view payload) {
  Samples out;
  auto result = decode.decode(topic, payload, 5, out);
  return result && out.size() == 1 ? out[0].device : "failed";
}

TEST(MqttDecoder, NamesTheDeviceByWildcardPayloadOrSource) {
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"plant/+/v"}), "plant/p3/v", R"({"x":1,"device":"p3"})"), "p3");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"plant/v"}), "plant/v", R"({"x":1,"device":"own"})"), "own");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"plant/+/v"}), "plant/p3/v", R"({"x":1})"), "p3");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"$share/g/plant/+/v"}), "plant/p3/v", R"({"x":1})"), "p3");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"plant/v"}), "plant/v", R"({"x":1})"), "press");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"a/+", "b/c/+"}), "b/c/d", R"({"x":1})"), "d");
}

TEST(MqttDecoder, APayloadSpeaksForNoOtherDeviceThanItsTopic) {
  Samples out(1);
  MqttDecoder bound = decoder(MqttFormat::json, {"devices/+/v", "devices/#"});
  auto refused = bound.decode("devices/p3/v", R"([{"x":1},{"x":1,"device":"p4"}])", 0, out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::permission_denied);
  EXPECT_NE(refused.error().detail.find("'p3'"), std::string::npos) << refused.error().detail;
  EXPECT_NE(refused.error().detail.find("'p4'"), std::string::npos) << refused.error().detail;
  EXPECT_EQ(out.size(), 1U) << "all or nothing";
  // A level that is empty is no leave to name anybody.
  EXPECT_FALSE(bound.decode("devices//v", R"({"x":1,"device":"p4"})", 0, out));
  EXPECT_FALSE(bound.decode("devices", R"({"x":1,"device":"p4"})", 0, out));
}

// The broker goes on with subscriptions of before: what is no longer meant says nothing about who published.
TEST(MqttDecoder, ATopicOfNoFilterIsNotTaken) {
  const std::string payload = R"({"x":1,"device":"p7"})";
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"devices/+/data", "lab/+/data"}), "plant/all", payload), "failed");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"devices/+/data"}), "plant/p7/all", payload), "failed");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"plant/all"}), "plant/other", payload), "failed");
}

TEST(MqttDecoder, AGatewayNamesItsDevicesWhereItMay) {
  const auto name = [](const char* pattern, const char* payload) {
    return device_of(decoder(MqttFormat::json, {"devices/+/v"}, pattern), "devices/gw/v", payload);
  };
  EXPECT_EQ(name("{device}", R"({"x":1,"device":"p4"})"), "p4");
  EXPECT_EQ(name("{device}", R"({"x":1})"), "gw");
  EXPECT_EQ(name("{1}.{device}", R"({"x":1,"device":"p4"})"), "gw.p4");
  EXPECT_EQ(name("{serial}", R"({"x":1,"device":"p4"})"), "gw") << "a name that the pattern did not ask for";
}

TEST(MqttDecoder, RefusesNamesThatBreakTopics) {
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"plant/v"}), "plant/v", R"({"x":1,"device":"a/b"})"), "failed");
  EXPECT_EQ(device_of(decoder(MqttFormat::json, {"#"}, "{serial}"), "t", R"({"serial":"a#"})"), "failed");
  EXPECT_EQ(device_of(decoder(MqttFormat::text, {"plant/+/v"}), "plant/a\x01z/v", "1"), "failed");
  EXPECT_EQ(device_of(decoder(MqttFormat::text, {"plant/+/v"}), "plant/\xff/v", "1"), "failed");
}

TEST(MqttDecoder, NamesTheDeviceByPattern) {
  const auto name = [](const char* pattern, const char* payload) {
    return device_of(decoder(MqttFormat::json, {"plant/#"}, pattern), "plant/p3/v", payload);
  };
  EXPECT_EQ(name("{1}", R"({"x":1,"device":"own"})"), "p3");
  EXPECT_EQ(name("{serial}", R"({"serial":"s9"})"), "s9");
  EXPECT_EQ(name("{0}-{serial}", R"({"serial":17})"), "plant-17");
  EXPECT_EQ(name("fixed", R"({"x":1})"), "fixed");
  EXPECT_EQ(name("{7}", R"({"x":1})"), "p3");
  EXPECT_EQ(name("{serial}", R"({"serial":[1]})"), "p3");
  for (const char* bad : {"", "{", "{}", "a{"}) EXPECT_FALSE(DeviceName::parse(bad)) << bad;
}

TEST(MqttDecoder, ReadsTextPayloads) {
  const auto value = [](std::string_view payload) {
    Samples out;
    MqttDecoder decode = decoder(MqttFormat::text, {"plant/+/temp"});
    EXPECT_TRUE(decode.decode("plant/p1/temp", payload, 42, out)) << payload;
    EXPECT_EQ(out.at(0).event_time, 42);
    return out.at(0).fields.at(0);
  };
  EXPECT_EQ(value("21").name, "temp");
  EXPECT_EQ(value(" 21\n").value, ingest::Value(std::int64_t{21}));
  EXPECT_EQ(value("-3.5e1").value, ingest::Value(-35.0));
  EXPECT_EQ(value("true").value, ingest::Value(true));
  EXPECT_EQ(value("21 C").value, ingest::Value(std::string("21 C")));
  Samples out;
  MqttDecoder named = decoder(MqttFormat::text, {"#"}, nullptr, "level");
  ASSERT_TRUE(named.decode("tank/", "1", 0, out));
  EXPECT_EQ(out[0].fields[0].name, "level");
}

TEST(MqttDecoder, RefusesMalformedPayloadsAndKeepsWhatWasThere) {
  Samples out(1);
  MqttDecoder json = decoder(MqttFormat::json, {"#"});
  for (std::string_view bad : {"", "{", "[1]", "nan", "{\"a\":1}]", "\xff"}) {
    EXPECT_FALSE(json.decode("t", bad, 0, out)) << bad;
  }
  EXPECT_FALSE(json.decode("t", R"([{"a":1},7])", 0, out));
  EXPECT_FALSE(json.decode("t", std::string(kMqttPayloadBytesMax + 1, ' '), 0, out));
  MqttDecoder text = decoder(MqttFormat::text, {"#"});
  EXPECT_FALSE(text.decode("t", " \n", 0, out));
  EXPECT_FALSE(text.decode("t", "\xff\xfe", 0, out));
  EXPECT_EQ(out.size(), 1U);
}

}  // namespace
}  // namespace penstock::ext
