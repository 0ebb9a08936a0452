// Against a real Mosquitto.
#include "mqtt/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "mqtt/test/broker.h"

namespace penstock::mqtt {
namespace {

using namespace std::chrono_literals;
using test::Broker;
using test::eventually;
using testing::HasSubstr;

#define NEED_BROKER() \
  if (!Broker::installed()) GTEST_SKIP() << "no mosquitto program here: install the package mosquitto"

// What a subscriber heard.
class Heard {
 public:
  Handlers handlers() {
    return {.message =
                [this](const Incoming& message) {
                  std::lock_guard lock(mutex_);
                  messages_.emplace_back(std::string(message.topic) + "=" + std::string(message.payload));
                },
            .burst_end = [this] { bursts_.fetch_add(1); }};
  }
  std::size_t count() const {
    std::lock_guard lock(mutex_);
    return messages_.size();
  }
  bool has(const std::string& message) const {
    std::lock_guard lock(mutex_);
    return std::find(messages_.begin(), messages_.end(), message) != messages_.end();
  }
  std::size_t count_of(const std::string& start) const {
    std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(
        messages_.begin(), messages_.end(), [&](const std::string& message) { return message.starts_with(start); }));
  }
  int bursts() const { return bursts_; }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
  std::atomic<int> bursts_{0};
};

Options options_for(const Broker& broker, Version version = Version::v311) {
  Options options = *parse_url(broker.url());
  options.version = version;
  return options;
}

// A subscriber is ready when its own publications come back.
bool subscribed(Connection& publisher, const Heard& heard, const std::string& topic) {
  int attempt = 0;
  return eventually([&] {
    publisher.publish({.topic = topic, .payload = fmt::format("hello {}", attempt++)});
    return heard.count() > 0;
  });
}

class MqttConnectionVersions : public testing::TestWithParam<Version> {};

TEST_P(MqttConnectionVersions, CarriesMessagesAtEveryQos) {
  NEED_BROKER();
  Broker broker;
  ASSERT_TRUE(broker.running()) << broker.log();
  Heard heard;
  Connection subscriber(options_for(broker, GetParam()), {{"plant/+/vibration", 2}}, heard.handlers());
  Connection publisher(options_for(broker, GetParam()), {}, {});
  ASSERT_TRUE(subscriber.start());
  ASSERT_TRUE(publisher.start());
  ASSERT_TRUE(subscribed(publisher, heard, "plant/a/vibration")) << subscriber.status().detail;
  for (int qos = 0; qos <= 2; ++qos) {
    publisher.publish({.topic = "plant/b/vibration", .payload = fmt::format("{}", qos), .qos = qos});
  }
  for (int qos = 0; qos <= 2; ++qos) {
    EXPECT_TRUE(eventually([&] { return heard.has(fmt::format("plant/b/vibration={}", qos)); })) << qos;
  }
  EXPECT_GT(heard.bursts(), 0);
  EXPECT_TRUE(eventually([&] { return publisher.status().delivered >= 4; }));
  EXPECT_TRUE(subscriber.status().connected);
  EXPECT_THAT(subscriber.status().detail, HasSubstr("connected to " + broker.url()));
  publisher.stop(2s);
  EXPECT_EQ(publisher.status().dropped, 0U);
}

INSTANTIATE_TEST_SUITE_P(Versions, MqttConnectionVersions, testing::Values(Version::v311, Version::v5),
                         [](const auto& info) { return info.param == Version::v5 ? "v5" : "v311"; });

TEST(MqttConnection, SharedSubscriptionsTakeEachMessageOnce) {
  NEED_BROKER();
  Broker broker;
  Heard heard;
  Connection one(options_for(broker, Version::v5), {{"$share/gw/load/#", 1}}, heard.handlers());
  Connection two(options_for(broker, Version::v5), {{"$share/gw/load/#", 1}}, heard.handlers());
  Connection publisher(options_for(broker), {}, {});
  ASSERT_TRUE(one.start() && two.start() && publisher.start());
  // Both are subscribed when both have had a share.
  ASSERT_TRUE(eventually([&] {
    publisher.publish({.topic = "load/x", .payload = ""});
    return one.status().received > 0 && two.status().received > 0;
  }));
  for (int i = 0; i < 50; ++i) publisher.publish({.topic = "load/y", .payload = fmt::format("{}", i), .qos = 1});
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(eventually([&] { return heard.has(fmt::format("load/y={}", i)); })) << i;
  }
  EXPECT_EQ(heard.count_of("load/y="), 50U);
}

TEST(MqttConnection, ComesBackAfterTheBrokerDiedAndRestoresItsSubscription) {
  NEED_BROKER();
  Broker broker;
  Heard heard;
  Connection subscriber(options_for(broker), {{"a/#", 0}}, heard.handlers());
  Connection publisher(options_for(broker), {}, {});
  ASSERT_TRUE(subscriber.start() && publisher.start());
  ASSERT_TRUE(subscribed(publisher, heard, "a/1"));
  broker.kill();
  ASSERT_TRUE(eventually([&] { return !subscriber.status().connected && !publisher.status().connected; }));
  EXPECT_THAT(subscriber.status().detail, HasSubstr("broker"));
  ASSERT_TRUE(eventually([&] { return subscriber.status().detail.find("connection refused") != std::string::npos; }))
      << subscriber.status().detail;
  broker.start();
  ASSERT_TRUE(broker.running());
  int attempt = 0;
  EXPECT_TRUE(eventually([&] {
    publisher.publish({.topic = "a/2", .payload = fmt::format("{}", attempt++)});
    std::this_thread::sleep_for(10ms);
    return heard.has(fmt::format("a/2={}", attempt - 1));
  })) << subscriber.status().detail;
}

TEST(MqttConnection, KeepsWhatItCouldNotSendWhileTheBrokerIsDown) {
  NEED_BROKER();
  Broker broker;
  broker.kill();
  Connection publisher(options_for(broker), {}, {}, 3);
  ASSERT_TRUE(publisher.start());
  for (int i = 0; i < 5; ++i)
    publisher.publish({.topic = "kept", .payload = fmt::format("{}", i), .qos = 1, .retain = i == 4});
  EXPECT_EQ(publisher.status().dropped, 2U);
  broker.start();
  EXPECT_TRUE(eventually([&] { return publisher.status().delivered == 3; })) << publisher.status().detail;
  Heard heard;
  Connection late(options_for(broker), {{"kept", 0}}, heard.handlers());
  ASSERT_TRUE(late.start());
  EXPECT_TRUE(eventually([&] { return heard.has("kept=4"); }));
}

TEST(MqttConnection, KeepsASessionUnderAStableName) {
  NEED_BROKER();
  Broker broker;
  test::Folder data;
  for (Version version : {Version::v311, Version::v5}) {
    Options options = options_for(broker, version);
    options.session = 60s;
    options.identity = {data.file("data"), version == Version::v5 ? "five" : "three"};
    Heard heard;
    {
      Connection first(options, {{"kept/#", 1}}, heard.handlers());
      ASSERT_TRUE(first.start());
      Connection publisher(options_for(broker), {}, {});
      ASSERT_TRUE(publisher.start());
      ASSERT_TRUE(subscribed(publisher, heard, "kept/a")) << first.status().detail;
      first.stop({});
      publisher.publish({.topic = "kept/b", .payload = "while away", .qos = 1});
      ASSERT_TRUE(eventually([&] { return publisher.status().delivered > 1; }));
      publisher.stop(2s);
    }
    Heard later;
    Connection second(options, {{"kept/#", 1}}, later.handlers());
    ASSERT_TRUE(second.start());
    EXPECT_TRUE(eventually([&] { return later.has("kept/b=while away"); })) << second.status().detail;
  }
}

TEST(MqttConnection, LeavesAWillBehind) {
  NEED_BROKER();
  Broker broker;
  Heard heard;
  Connection listener(options_for(broker), {{"will/#", 1}}, heard.handlers());
  Connection publisher(options_for(broker), {}, {});
  ASSERT_TRUE(listener.start() && publisher.start());
  ASSERT_TRUE(subscribed(publisher, heard, "will/ready"));
  Options options = options_for(broker);
  options.client_id = "mortal";
  options.will = Will{.topic = "will/a", .payload = "gone", .qos = 1};
  Connection mortal(options, {}, {});
  ASSERT_TRUE(mortal.start());
  ASSERT_TRUE(eventually([&] { return mortal.status().connected; }));
  // Whoever comes with the same name throws it out.
  options.will.reset();
  Connection usurper(options, {}, {});
  ASSERT_TRUE(usurper.start());
  EXPECT_TRUE(eventually([&] { return heard.has("will/a=gone"); }));
}

TEST(MqttConnection, LeavesRetainedMessagesOutWhenAskedTo) {
  NEED_BROKER();
  Broker broker;
  Connection publisher(options_for(broker), {}, {});
  ASSERT_TRUE(publisher.start());
  publisher.publish({.topic = "old", .payload = "1", .qos = 1, .retain = true});
  ASSERT_TRUE(eventually([&] { return publisher.status().delivered == 1; }));
  Heard heard;
  Connection subscriber(options_for(broker, Version::v5), {{"#", 0, Retained::none}}, heard.handlers());
  ASSERT_TRUE(subscriber.start());
  ASSERT_TRUE(subscribed(publisher, heard, "new"));
  EXPECT_EQ(heard.count_of("old="), 0U);
}

TEST(MqttConnection, CarriesPropertiesOfMqtt5) {
  NEED_BROKER();
  Broker broker;
  std::mutex mutex;
  std::vector<std::string> got;
  Handlers handlers{.message = [&](const Incoming& message) {
    std::lock_guard lock(mutex);
    got.emplace_back(message.content_type);
    if (message.properties == nullptr) return;
    for (const auto& [name, value] : *message.properties) got.push_back(name + "=" + value);
  }};
  Connection subscriber(options_for(broker, Version::v5),
                        {{.filter = "p", .qos = 1, .retained = Retained::all, .properties = true}}, handlers);
  Connection publisher(options_for(broker, Version::v5), {}, {});
  ASSERT_TRUE(subscriber.start() && publisher.start());
  ASSERT_TRUE(eventually([&] {
    publisher.publish(
        {.topic = "p", .payload = "x", .content_type = "text/plain", .properties = {{"a", "1"}, {"b", "2"}}});
    std::lock_guard lock(mutex);
    return !got.empty();
  }));
  std::lock_guard lock(mutex);
  got.resize(3);
  EXPECT_THAT(got, testing::ElementsAre("text/plain", "a=1", "b=2"));
}

TEST(MqttConnection, ShowsItsCertificateToABrokerThatWantsOne) {
  NEED_BROKER();
  test::Folder folder;
  const test::Certificates good(folder, "IP:127.0.0.1");
  if (!good.made) GTEST_SKIP() << "no openssl program here to make certificates with";
  Broker broker(fmt::format("allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
                            good.ca, good.cert, good.key));
  ASSERT_TRUE(broker.running()) << broker.log();
  Options options = *parse_url(broker.url("mqtts"));
  options.ca = good.ca;
  Connection without(options, {}, {});
  options.cert = good.cert;
  options.key = good.key;
  Connection with(options, {}, {});
  // One after the other: two first TLS connections at once cost the library a few bytes for ever.
  ASSERT_TRUE(with.start());
  EXPECT_TRUE(eventually([&] { return with.status().connected; })) << with.status().detail;
  ASSERT_TRUE(without.start());
  EXPECT_TRUE(eventually(
      [&] { return !without.status().connected && without.status().detail.find(": ") != std::string::npos; }));
  EXPECT_FALSE(without.status().connected) << without.status().detail;
}

TEST(MqttConnection, SaysThatThePasswordIsWrong) {
  NEED_BROKER();
  test::Folder folder;
  const std::string passwords = folder.write("passwords", "");
  ASSERT_TRUE(test::run_program({"mosquitto_passwd", "-b", passwords, "ann", "right"}));
  Broker broker("allow_anonymous false\npassword_file " + passwords + "\n");
  ASSERT_TRUE(broker.running()) << broker.log();
  for (Version version : {Version::v311, Version::v5}) {
    Options options = options_for(broker, version);
    options.username = "ann";
    options.password = base::Secret("wrong-one");
    Connection connection(options, {}, {});
    ASSERT_TRUE(connection.start());
    EXPECT_TRUE(eventually([&] { return connection.status().detail.find("password") != std::string::npos; }))
        << connection.status().detail;
    EXPECT_FALSE(connection.status().connected);
    EXPECT_EQ(connection.status().detail.find("wrong-one"), std::string::npos);
    options.password = base::Secret("right");
    Connection right(options, {}, {});
    ASSERT_TRUE(right.start());
    EXPECT_TRUE(eventually([&] { return right.status().connected; })) << right.status().detail;
  }
}

TEST(MqttConnection, SaysThatTheAccessListRefuses) {
  NEED_BROKER();
  test::Folder folder;
  const std::string acl = folder.write("acl", "topic read open/#\n");
  Broker broker("allow_anonymous true\nacl_file " + acl + "\n");
  ASSERT_TRUE(broker.running()) << broker.log();
  Connection publisher(options_for(broker, Version::v5), {}, {});
  ASSERT_TRUE(publisher.start());
  publisher.publish({.topic = "closed/x", .payload = "1", .qos = 1});
  EXPECT_TRUE(eventually([&] { return publisher.status().dropped == 1; }));
  EXPECT_THAT(publisher.status().detail, HasSubstr("access list"));
}

TEST(MqttConnection, VerifiesTheBrokersCertificate) {
  NEED_BROKER();
  test::Folder folder;
  const test::Certificates good(folder, "IP:127.0.0.1");
  const test::Certificates other(folder, "IP:127.0.0.1", "other-");
  if (!good.made || !other.made) GTEST_SKIP() << "no openssl program here to make certificates with";
  Broker broker(
      fmt::format("allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\n", good.ca, good.cert, good.key));
  ASSERT_TRUE(broker.running()) << broker.log();
  Options options = *parse_url(broker.url("mqtts"));
  options.ca = good.ca;
  Heard heard;
  Connection trusted(options, {{"t", 0}}, heard.handlers());
  ASSERT_TRUE(trusted.start());
  ASSERT_TRUE(subscribed(trusted, heard, "t")) << trusted.status().detail;
  options.ca = other.ca;
  Connection untrusted(options, {}, {});
  ASSERT_TRUE(untrusted.start());
  EXPECT_TRUE(eventually([&] { return untrusted.status().detail.find("not trusted") != std::string::npos; }))
      << untrusted.status().detail;
  EXPECT_FALSE(untrusted.status().connected);
}

TEST(MqttConnection, RefusesACertificateForAnotherHost) {
  NEED_BROKER();
  test::Folder folder;
  const test::Certificates elsewhere(folder, "DNS:elsewhere.example");
  if (!elsewhere.made) GTEST_SKIP() << "no openssl program here to make certificates with";
  Broker broker(fmt::format("allow_anonymous true\ncertfile {}\nkeyfile {}\n", elsewhere.cert, elsewhere.key));
  ASSERT_TRUE(broker.running()) << broker.log();
  Options options = *parse_url(broker.url("mqtts"));
  options.ca = elsewhere.ca;
  Connection connection(options, {}, {});
  ASSERT_TRUE(connection.start());
  EXPECT_TRUE(eventually([&] { return connection.status().detail.find("TLS") != std::string::npos; }))
      << connection.status().detail;
  EXPECT_FALSE(connection.status().connected);
}

TEST(MqttConnection, StopsAtOnceWhateverItIsDoing) {
  Options options = *parse_url(fmt::format("mqtt://127.0.0.1:{}", test::free_port()));
  Connection connection(options, {}, {});
  ASSERT_TRUE(connection.start());
  connection.publish({.topic = "t", .payload = "x"});
  ASSERT_TRUE(eventually([&] { return connection.status().detail.find("refused") != std::string::npos; }));
  const auto began = std::chrono::steady_clock::now();
  connection.stop(100s);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 50s);
  EXPECT_EQ(connection.status().dropped, 1U);
}

TEST(MqttConnection, ReportsTlsFilesThatAreMissingAtStart) {
  Options options = *parse_url("mqtts://127.0.0.1:1");
  options.ca = "/nonexistent/ca.pem";
  Connection connection(options, {}, {});
  EXPECT_FALSE(connection.start());
  EXPECT_THAT(connection.status().detail, HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace penstock::mqtt
