#include "mqtt/options.h"

#include <gtest/gtest.h>

#include "mqtt/outbound_queue.h"
#include "mqtt/reason.h"

namespace penstock::mqtt {
namespace {

using namespace std::chrono_literals;

struct Read {
  Options options;
  std::string report;
};

Read read(std::string_view yaml) {
  auto document = config::Document::parse(yaml, "t.yaml", [](const std::string&) { return "s3cret"; });
  EXPECT_TRUE(document.has_value());
  config::Map map = document->root().map();
  config::Node url = map.get("mqtt");
  Read out{read_options(url, map), {}};
  map.done();
  out.report = document->report();
  return out;
}

TEST(MqttOptions, ReadsAnAddress) {
  auto plain = parse_url("mqtt://broker.local");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "broker.local");
  EXPECT_EQ(plain->port, 1883);
  EXPECT_FALSE(plain->tls);
  auto tls = parse_url("mqtts://[::1]/");
  ASSERT_TRUE(tls);
  EXPECT_EQ(tls->address(), "mqtts://[::1]:8883");
  EXPECT_EQ(parse_url("mqtts://h:99")->port, 99);
}

TEST(MqttOptions, RefusesWhatIsNoAddress) {
  for (const char* bad : {"", "http://h", "mqtt://", "mqtt://h:0", "mqtt://h:70000", "mqtt://h:1x", "mqtt://u:p@h",
                          "mqtt://[::1", "mqtt://h/path", "mqtt://h:"}) {
    EXPECT_FALSE(parse_url(bad)) << bad;
  }
}

TEST(MqttOptions, ReadsEveryKey) {
  const Read got = read(
      "mqtt: mqtts://h\nusername: u\npassword: ${PW}\nversion: 5\nclient_id: c\nkeepalive: 20s\n"
      "tls: { ca: /a, cert: /b, key: /c }\n");
  EXPECT_EQ(got.report, "");
  EXPECT_EQ(got.options.version, Version::v5);
  EXPECT_EQ(got.options.password.reveal(), "s3cret");
  EXPECT_EQ(got.options.keepalive, 20s);
  EXPECT_EQ(got.options.ca, "/a");
  EXPECT_EQ(got.options.key, "/c");
}

TEST(MqttOptions, ReportsMistakesAtTheirPlaces) {
  EXPECT_EQ(read("mqtt: mqtt://u:s3cret@h\n").report,
            "t.yaml:1:7: mqtt: no credentials in the address: write them as `username` and `password`");
  EXPECT_NE(read("mqtt: mqtt://h\nversion: 4\n").report.find("t.yaml:2:10"), std::string::npos);
  EXPECT_NE(read("mqtt: mqtt://h\nkeepalive: 1s\n").report.find("5s to 65535s"), std::string::npos);
  EXPECT_NE(read("mqtt: mqtts://h\ntls: { cert: x }\n").report.find("go together"), std::string::npos);
  EXPECT_NE(read("mqtt: mqtt://h\ntls: { ca: x }\n").report.find("mqtts://"), std::string::npos);
  EXPECT_NE(read("mqtt: mqtt://h\npasword: x\n").report.find("did you mean 'password'?"), std::string::npos);
}

TEST(OutboundQueue, DropsTheOldestWhenFull) {
  OutboundQueue queue(2);
  EXPECT_TRUE(queue.push({.topic = "1", .payload = {}}));
  EXPECT_TRUE(queue.push({.topic = "2", .payload = {}}));
  EXPECT_FALSE(queue.push({.topic = "3", .payload = {}}));
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_EQ(queue.pop()->topic, "2");
  EXPECT_TRUE(queue.put_back({.topic = "2", .payload = {}}));
  EXPECT_FALSE(queue.put_back({.topic = "1", .payload = {}}));
  EXPECT_EQ(queue.pop()->topic, "2");
  EXPECT_EQ(queue.pop()->topic, "3");
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(MqttReason, SpeaksInWords) {
  EXPECT_NE(connect_refusal(Version::v311, 4).find("password"), std::string::npos);
  EXPECT_NE(connect_refusal(Version::v5, 0x87).find("not authorized"), std::string::npos);
  EXPECT_NE(connect_refusal(Version::v5, 0x84).find("version: 3.1.1"), std::string::npos);
  EXPECT_NE(request_refusal(0x80).find("access list"), std::string::npos);
  EXPECT_NE(socket_reason(ECONNREFUSED).find("connection refused"), std::string::npos);
}

TEST(Options, TheEmbeddedBrokerIsSpokenToInVersion5UnlessTold) {
  const auto version = [](const std::string& yaml) {
    auto document = config::Document::parse(yaml, "t.yaml");
    config::Map map = document->root().map();
    const config::Node url = map.get("mqtt");
    return read_options(url, map).version;
  };
  EXPECT_EQ(version("mqtt: embedded\n"), Version::v5);
  EXPECT_EQ(version("mqtt: embedded\nversion: 3.1.1\n"), Version::v311);
  EXPECT_EQ(version("mqtt: mqtt://127.0.0.1\n"), Version::v311);
}

}  // namespace
}  // namespace penstock::mqtt
