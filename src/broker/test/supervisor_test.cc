// With a real Mosquitto. The keeper is a fork of this test: it has no such command.
#include "broker/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <fstream>

#include "base/test/full_disk.h"
#include "broker/password_hash.h"
#include "mqtt/embedded.h"
#include "mqtt/test/broker.h"

namespace penstock::broker {
namespace {

using namespace std::chrono_literals;
using mqtt::test::Broker;
using mqtt::test::eventually;
using testing::HasSubstr;

#define NEED_BROKER() \
  if (!Broker::installed()) GTEST_SKIP() << "no mosquitto program here: install the package mosquitto"

pid_t fork_keeper(int socket, const std::string& program, const std::string& settings) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::dup2(socket, 3);
  ::close_range(4, ~0U, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  rlimit files{};
  ::getrlimit(RLIMIT_FSIZE, &files);
  files.rlim_cur = files.rlim_max;  // a full disk (below) is the test's own
  ::setrlimit(RLIMIT_FSIZE, &files);
  ::_exit(serve_keeper(3, program, settings));
}

pid_t parent_of(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  }
  return 0;
}

struct Fixture {
  mqtt::test::Folder folder;
  BrokerConfig config;
  Supervisor supervisor{folder.file("data"), fork_keeper};

  Fixture() {
    config.port = static_cast<std::uint16_t>(mqtt::test::free_port());
    config.acl = {"devices/{device}/#"};
  }
  void start() {
    auto prepared = supervisor.prepare(config);
    ASSERT_TRUE(prepared) << prepared.error().detail;
    supervisor.run();
    ASSERT_TRUE(runs()) << supervisor.status().detail;
  }
  bool runs() {
    return eventually([&] { return supervisor.status().running; }, 20s);
  }
  bool dies(pid_t pid) {
    return eventually([&] { return supervisor.status().pid != pid; });
  }
  mqtt::Options client(const std::string& name, const std::string& password) const {
    mqtt::Options options = *mqtt::parse_url("mqtt://" + config.address());
    options.username = name;
    options.password = base::Secret(password);
    options.version = mqtt::Version::v5;
    return options;
  }
  std::vector<BrokerUser> devices() const {
    BrokerUser device{"press-3", hash_password(base::Secret("right")), {}, {}};
    device.publish = device.subscribe = filters_for(config.acl, device.name);
    return {device};
  }
};

bool gets_in(const mqtt::Options& options) {
  mqtt::Connection connection(options, {}, {});
  EXPECT_TRUE(connection.start());
  EXPECT_TRUE(eventually([&] { return connection.status().connected || connection.status().detail.contains(": "); }));
  return connection.status().connected;
}

TEST(Supervisor, LetsInWhoIsKnownAndToItsOwnTopics) {
  NEED_BROKER();
  Fixture fixture;
  fixture.start();
  EXPECT_THAT(fixture.supervisor.status().detail, HasSubstr(fixture.config.address()));
  EXPECT_FALSE(gets_in(fixture.client("press-3", "right")));
  fixture.supervisor.set_devices(fixture.devices());
  ASSERT_TRUE(eventually([&] { return gets_in(fixture.client("press-3", "right")); }));
  EXPECT_FALSE(gets_in(fixture.client("press-3", "wrong")));
  EXPECT_FALSE(gets_in(fixture.client("", "")));

  mqtt::Connection device(fixture.client("press-3", "right"), {}, {});
  std::atomic<int> heard{0};
  mqtt::Options own;
  own.embedded = true;
  mqtt::Connection gateway(own, {{"devices/+/vib", 1}}, {.message = [&](const auto&) { heard.fetch_add(1); }});
  ASSERT_TRUE(device.start() && gateway.start());
  ASSERT_TRUE(eventually([&] { return gateway.status().connected; })) << gateway.status().detail;
  EXPECT_TRUE(eventually([&] {
    device.publish({.topic = "devices/press-3/vib", .payload = "1", .qos = 1});
    std::this_thread::sleep_for(5ms);
    return heard > 0;
  }));
  EXPECT_EQ(device.status().dropped, 0U);
  device.publish({.topic = "devices/other/vib", .payload = "1", .qos = 1});
  EXPECT_TRUE(eventually([&] { return device.status().dropped == 1; }));
  // Whoever is taken out is thrown out.
  fixture.supervisor.set_devices({});
  EXPECT_TRUE(eventually([&] { return !device.status().connected; }));
}

TEST(Supervisor, StartsABrokerThatWasKilledAgain) {
  NEED_BROKER();
  Fixture fixture;
  fixture.start();
  const pid_t before = fixture.supervisor.status().pid;
  ASSERT_EQ(::kill(before, SIGKILL), 0);
  ASSERT_TRUE(fixture.dies(before));
  EXPECT_TRUE(fixture.runs()) << fixture.supervisor.status().detail;
  EXPECT_EQ(fixture.supervisor.status().starts, 2U);
  EXPECT_NE(fixture.supervisor.status().pid, before);
}

TEST(Supervisor, KeepsMessagesOverACleanEnd) {
  NEED_BROKER();
  Fixture fixture;
  fixture.config.allow_anonymous = true;
  fixture.start();
  mqtt::Options anybody = *mqtt::parse_url("mqtt://" + fixture.config.address());
  {
    mqtt::Connection publisher(anybody, {}, {});
    ASSERT_TRUE(publisher.start());
    publisher.publish({.topic = "kept", .payload = "yes", .qos = 1, .retain = true});
    ASSERT_TRUE(eventually([&] { return publisher.status().delivered == 1; })) << publisher.status().detail;
  }
  fixture.supervisor.stop();
  EXPECT_FALSE(mqtt::test::accepts(fixture.config.port));
  EXPECT_FALSE(mqtt::Embedded::find());
  ASSERT_TRUE(fixture.supervisor.apply(fixture.config));
  ASSERT_TRUE(fixture.runs());
  std::atomic<int> heard{0};
  mqtt::Connection late(anybody, {{"kept", 0}}, {.message = [&](const auto&) { heard.fetch_add(1); }});
  ASSERT_TRUE(late.start());
  EXPECT_TRUE(eventually([&] { return heard == 1; }));
}

TEST(Supervisor, MovesToAnotherPortWithTheConfiguration) {
  NEED_BROKER();
  Fixture fixture;
  fixture.start();
  const int before = fixture.config.port;
  fixture.config.port = static_cast<std::uint16_t>(mqtt::test::free_port());
  ASSERT_TRUE(fixture.supervisor.apply(fixture.config));
  EXPECT_TRUE(eventually([&] { return mqtt::test::accepts(fixture.config.port); }));
  EXPECT_FALSE(mqtt::test::accepts(before));
  EXPECT_TRUE(fixture.runs());
}

TEST(Supervisor, SaysThatThePortIsTakenAndGoesOnTrying) {
  NEED_BROKER();
  Fixture fixture;
  const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = mqtt::test::loopback(fixture.config.port);
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  ASSERT_TRUE(fixture.supervisor.prepare(fixture.config));
  fixture.supervisor.run();
  EXPECT_TRUE(eventually([&] { return fixture.supervisor.status().detail.contains("another program listens"); }))
      << fixture.supervisor.status().detail;
  close(taken);
  EXPECT_TRUE(fixture.runs()) << fixture.supervisor.status().detail;
}

TEST(Supervisor, SaysThatTheProgramIsNoneOrNoBroker) {
  Fixture fixture;
  fixture.config.program = "/nowhere/mosquitto";
  EXPECT_FALSE(fixture.supervisor.prepare(fixture.config));
  EXPECT_THAT(fixture.supervisor.status().detail, HasSubstr("/nowhere/mosquitto"));
  fixture.config.program = "/bin/false";
  ASSERT_TRUE(fixture.supervisor.prepare(fixture.config));
  fixture.supervisor.run();
  EXPECT_TRUE(eventually([&] { return fixture.supervisor.status().detail.contains("ended with status 1"); }))
      << fixture.supervisor.status().detail;
}

TEST(Supervisor, GivesDevicesWhatTheAccessListSaysBesideTheirOwn) {
  NEED_BROKER();
  Fixture fixture;
  fixture.config.acl = {"plant/{device}/#"};
  fixture.supervisor.set_devices({{"press-3", hash_password(base::Secret("right")), {"devices/press-3/#"}, {}}});
  fixture.start();
  mqtt::Connection device(fixture.client("press-3", "right"), {}, {});
  ASSERT_TRUE(device.start());
  for (const char* topic : {"devices/press-3/vib", "plant/press-3/vib"})
    device.publish({.topic = topic, .payload = "1", .qos = 1});
  EXPECT_TRUE(eventually([&] { return device.status().delivered == 2; })) << device.status().detail;
  device.publish({.topic = "plant/other/vib", .payload = "1", .qos = 1});
  EXPECT_TRUE(eventually([&] { return device.status().dropped == 1; }));
}

TEST(Supervisor, SaysWhichDeviceHasANameThatIsTaken) {
  NEED_BROKER();
  Fixture fixture;
  fixture.config.users = {{{"press-3", "", {"#"}, {"#"}}, base::Secret("declared")}};
  fixture.supervisor.set_devices({{"press-3", hash_password(base::Secret("right")), {"devices/press-3/#"}, {}}});
  fixture.start();
  EXPECT_THAT(fixture.supervisor.status().left_out, HasSubstr("press-3"));
  EXPECT_FALSE(gets_in(fixture.client("press-3", "right")));
  fixture.supervisor.set_devices({});
  EXPECT_THAT(fixture.supervisor.status().left_out, testing::IsEmpty());
}

TEST(Supervisor, EndsTheSessionOfASecretThatWasReplaced) {
  NEED_BROKER();
  Fixture fixture;
  fixture.start();
  fixture.supervisor.set_devices(fixture.devices());
  ASSERT_TRUE(eventually([&] { return gets_in(fixture.client("press-3", "right")); }));
  mqtt::Connection device(fixture.client("press-3", "right"), {}, {});
  ASSERT_TRUE(device.start());
  ASSERT_TRUE(eventually([&] { return device.status().connected; }));
  std::vector<BrokerUser> replaced = fixture.devices();
  replaced[0].password_hash = hash_password(base::Secret("another"));
  fixture.supervisor.set_devices(replaced);
  EXPECT_TRUE(eventually([&] { return !device.status().connected; }));
  EXPECT_TRUE(gets_in(fixture.client("press-3", "another")));
}

constexpr rlim_t kRoom = 32'768;

// Whose rules find no room on that disk.
std::vector<BrokerUser> with_many_more(std::vector<BrokerUser> devices) {
  for (int i = 0; i < 1000; ++i)
    devices.push_back(
        {fmt::format("more-{}", i), devices.front().password_hash, {fmt::format("devices/more-{}/#", i)}, {}});
  return devices;
}

TEST(Supervisor, WritesAgainWhatTheDiskDidNotTakeAndTakesBackAtOnce) {
  NEED_BROKER();
  Fixture fixture;
  fixture.start();
  std::vector<BrokerUser> devices = fixture.devices();
  devices.push_back(devices[0]);
  devices[1].name = "press-4";
  devices[1].publish = devices[1].subscribe = {"devices/press-4/#"};
  fixture.supervisor.set_devices(devices);
  ASSERT_TRUE(eventually([&] { return gets_in(fixture.client("press-3", "right")); }));
  mqtt::Connection revoked(fixture.client("press-3", "right"), {}, {});
  ASSERT_TRUE(revoked.start());
  ASSERT_TRUE(eventually([&] { return revoked.status().connected; }));
  {
    const base::test::FullDisk full(kRoom);
    fixture.supervisor.set_devices(with_many_more({devices[1]}));
    EXPECT_THAT(fixture.supervisor.status().unwritten, HasSubstr(fixture.folder.file("data/broker/")));
    EXPECT_TRUE(eventually([&] { return !revoked.status().connected; })) << "what was taken back is, at once";
    EXPECT_FALSE(gets_in(fixture.client("press-3", "right")));
    EXPECT_TRUE(gets_in(fixture.client("press-4", "right"))) << "who is good stays";
    EXPECT_FALSE(gets_in(fixture.client("more-7", "right")));
    EXPECT_TRUE(fixture.supervisor.status().running);
    // With what it has it can be started again, keeper and all.
    const pid_t before = fixture.supervisor.status().pid;
    ASSERT_EQ(::kill(parent_of(before), SIGKILL), 0);
    ASSERT_TRUE(fixture.dies(before));
    EXPECT_TRUE(fixture.runs()) << fixture.supervisor.status().detail;
    EXPECT_FALSE(gets_in(fixture.client("press-3", "right")));
  }
  EXPECT_TRUE(eventually([&] { return fixture.supervisor.status().unwritten.empty(); }, 20s));
  EXPECT_TRUE(eventually([&] { return gets_in(fixture.client("more-7", "right")); }));
  EXPECT_FALSE(gets_in(fixture.client("press-3", "right")));
}

TEST(Supervisor, StartsOnceItsFilesCanBeWritten) {
  NEED_BROKER();
  Fixture fixture;
  {
    const base::test::FullDisk full(16);
    EXPECT_FALSE(fixture.supervisor.prepare(fixture.config));
    fixture.supervisor.run();
    EXPECT_FALSE(fixture.supervisor.status().running);
    EXPECT_THAT(fixture.supervisor.status().detail, HasSubstr(fixture.folder.file("data/broker/")));
    EXPECT_FALSE(mqtt::Embedded::find());
  }
  EXPECT_TRUE(fixture.runs()) << fixture.supervisor.status().detail;
  EXPECT_EQ(fixture.supervisor.status().starts, 1U);
}

TEST(Supervisor, TakesTheNamesOfCertificates) {
  NEED_BROKER();
  Fixture fixture;
  const mqtt::test::Certificates made(fixture.folder, "IP:127.0.0.1");
  if (!made.made) GTEST_SKIP() << "no openssl program here to make certificates with";
  fixture.config.tls = BrokerTls{made.cert, made.key, made.ca};
  BrokerUser device{"broker", "", {"devices/broker/#"}, {}};  // the common name of the test's certificate
  fixture.supervisor.set_devices({device});
  fixture.start();
  mqtt::Options options = *mqtt::parse_url("mqtts://" + fixture.config.address());
  options.version = mqtt::Version::v5;
  options.ca = made.ca;
  EXPECT_FALSE(gets_in(options));
  options.cert = made.cert;
  options.key = made.key;
  mqtt::Connection connection(options, {}, {});
  ASSERT_TRUE(connection.start());
  connection.publish({.topic = "devices/broker/x", .payload = "1", .qos = 1});
  EXPECT_TRUE(eventually([&] { return connection.status().delivered == 1; })) << connection.status().detail;
  connection.publish({.topic = "devices/other/x", .payload = "1", .qos = 1});
  EXPECT_TRUE(eventually([&] { return connection.status().dropped == 1; }));
}

}  // namespace
}  // namespace penstock::broker
