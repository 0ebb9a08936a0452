#include "broker/broker_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "broker/broker_files.h"
#include "broker/password_hash.h"
#include "mqtt/test/broker.h"

namespace penstock::broker {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

struct Read {
  std::optional<BrokerConfig> config;
  std::string report;
};

Read read(std::string_view yaml, bool insecure = false) {
  auto document = config::Document::parse(yaml, "t.yaml", [](const std::string&) { return "s3cret"; });
  EXPECT_TRUE(document.has_value());
  config::Map root = document->root().map();
  Read out{read_broker(root, insecure), {}};
  out.report = document->report();
  return out;
}

TEST(BrokerConfig, IsThereWhenWrittenOrWhenSomebodyMeansIt) {
  EXPECT_FALSE(read("sources: { a: { mqtt: mqtt://h, topic: t } }\n").config);
  EXPECT_TRUE(read("broker: {}\n").config);
  EXPECT_TRUE(read("sources: { a: { mqtt: embedded, topic: t } }\n").config);
  const Read sink = read("pipelines: { p: { from: a, to: [ { mqtt: { url: embedded, topic: t } } ] } }\n");
  ASSERT_TRUE(sink.config);
  EXPECT_EQ(sink.config->address(), "127.0.0.1:1883");
  EXPECT_FALSE(read("pipelines: { p: { from: embedded } }\nsources: 7\n").config);
}

TEST(BrokerConfig, ReadsEveryKey) {
  Read got = read(
      "broker: { listen: \"0.0.0.0:8883\", tls: { cert: /c, key: /k, client_ca: /a }, persistence: false, save_every: "
      "5s,\n"
      "  message_max: 4KiB, connections_max: 10, queued_max: 20, queued_bytes_max: 1MiB, memory_max: 32MiB, program: "
      "/m, acl: [ \"x/{device}\" ],\n"
      "  users: { d1: {}, d2: { password: ${P}, publish: [ p ] } } }\n");
  ASSERT_THAT(got.report, IsEmpty());
  EXPECT_EQ(got.config->tls, (BrokerTls{"/c", "/k", "/a"}));
  EXPECT_EQ(got.config->users[0].user.publish, std::vector<std::string>{"x/d1"});
  EXPECT_EQ(got.config->users[0].user.subscribe, std::vector<std::string>{"x/d1"});
  EXPECT_THAT(got.config->users[1].user.subscribe, IsEmpty());
  EXPECT_EQ(got.config->users[1].password.reveal(), "s3cret");
  got.config->tls->client_ca = "";
  const std::string settings = settings_of(*got.config, BrokerFiles("/data"))->text;
  for (const char* line : {"listener 8883 0.0.0.0\n", "persistence false\n", "max_packet_size 74096\n",
                           "allow_anonymous false\n", "max_queued_messages 20\n", "max_queued_bytes 1048576\n",
                           "max_inflight_bytes 262144\n", "memory_limit 33554432\n", "max_connections 10\n"}) {
    EXPECT_THAT(settings, HasSubstr(line));
  }
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct OwnedBroker {
  mqtt::test::Folder data;
  const OwnAuthority own{data.file("devices")};
  const BrokerFiles files{data.file(".")};
  BrokerConfig config;

  OwnedBroker() {
    std::filesystem::create_directories(data.file("devices"));
    config.tls = BrokerTls{"/c", "/k", ""};
  }
  Result<BrokerSettings> settings(const std::string& client_ca) {
    config.tls->client_ca = client_ca;
    return settings_of(config, files, own);
  }
  std::string good(const std::string& client_ca) {
    auto settings_made = settings(client_ca);
    EXPECT_TRUE(settings_made) << settings_made.error().detail;
    return settings_made.value_or(BrokerSettings()).text;
  }
};

TEST(BrokerConfig, KnowsEachCertificateOfItsOwnAuthority) {
  OwnedBroker broker;
  broker.data.write("devices/trust.pem", "one");
  const std::string meant = broker.data.file("devices/../devices/trust.pem");
  const std::string settings = broker.good(meant);
  EXPECT_THAT(settings,
              HasSubstr("use_subject_as_username true\ncrlfile " + broker.data.file("devices/ca.crl") + "\n"));
  EXPECT_THAT(settings, testing::Not(HasSubstr("use_identity_as_username")));
  broker.data.write("devices/trust.pem", "another one");
  const std::string whole = broker.good(meant);
  EXPECT_NE(whole, settings) << "authorities are read when the broker is started";
  EXPECT_EQ(broker.good(broker.data.file("devices/ca.pem")), whole) << "the file beside it is meant alike";
}

TEST(BrokerConfig, KnowsItsOwnAuthorityInAnotherFile) {
  OwnedBroker broker;
  const mqtt::test::Certificates ours(broker.data, "DNS:a", "ours-");
  const mqtt::test::Certificates former(broker.data, "DNS:a", "former-");
  const mqtt::test::Certificates other(broker.data, "DNS:a", "other-");
  if (!ours.made || !former.made || !other.made) GTEST_SKIP() << "no openssl program here to make certificates with";
  broker.data.write("devices/trust.pem", contents(ours.ca) + contents(former.ca));
  broker.data.write("devices/ca.pem", contents(ours.ca));
  const std::string whole = broker.good(broker.own.trusted());
  EXPECT_EQ(broker.good(broker.data.write("copy.pem", contents(ours.ca))), whole);
  EXPECT_EQ(broker.good(broker.data.write("former.pem", "# the one before\n" + contents(former.ca))), whole);
  EXPECT_EQ(broker.good(broker.data.write("both.pem", contents(former.ca) + contents(ours.ca))), whole);
  const std::string theirs = broker.good(other.ca);
  EXPECT_THAT(theirs, HasSubstr("cafile " + broker.files.client_ca() + "\nrequire_certificate true\n"));
  EXPECT_THAT(theirs, HasSubstr("use_identity_as_username true\n"));
  EXPECT_THAT(theirs, testing::Not(HasSubstr("crlfile")));
  EXPECT_EQ(broker.settings(other.ca)->client_ca, contents(other.ca)) << "what was looked at is what is served";
  EXPECT_NE(broker.good(former.ca), theirs);
  EXPECT_NE(broker.good(broker.data.write("theirs.pem", contents(other.ca) + contents(other.ca))), theirs)
      << "authorities are read when the broker is started";

  for (const std::string& nobody : {broker.data.file("not-there.pem"), broker.data.write("empty.pem", ""),
                                    broker.data.write("half.pem", contents(ours.ca).substr(0, 200))}) {
    auto refused = broker.settings(nobody);
    ASSERT_FALSE(refused) << nobody;
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    EXPECT_THAT(refused.error().detail, HasSubstr(nobody));
  }

  for (const std::string& mixed : {contents(other.ca) + contents(ours.ca), contents(former.ca) + contents(other.ca)}) {
    auto refused = broker.settings(broker.data.write("mixed.pem", mixed));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail, HasSubstr("mixed.pem"));
    EXPECT_THAT(refused.error().detail, HasSubstr("client_ca: " + broker.own.trusted()));
  }
}

TEST(BrokerConfig, RefusesAnOpenDoorToTheWorld) {
  EXPECT_THAT(read("broker: { listen: \"0.0.0.0:1883\" }\n").report, HasSubstr("without TLS"));
  EXPECT_THAT(read("broker: { listen: \"0.0.0.0:8883\", tls: { cert: c, key: k }, allow_anonymous: true }\n").report,
              HasSubstr("everybody"));
  EXPECT_THAT(read("broker: { listen: \"0.0.0.0:1883\" }\n", true).report, IsEmpty());
  EXPECT_THAT(read("broker: { allow_anonymous: true }\n").report, IsEmpty());
}

TEST(BrokerConfig, ReportsMistakesAtTheirPlaces) {
  EXPECT_THAT(read("broker: { users: { a: {} } }\n").report, HasSubstr("no `password`"));
  EXPECT_THAT(read("broker: { users: { \"a:b\": { password: x } } }\n").report, HasSubstr("no name"));
  EXPECT_THAT(read("broker: { users: { a: { password: x, publish: [ \"a/#/b\" ] } } }\n").report, HasSubstr("1:"));
  EXPECT_THAT(read("broker: { listen: nowhere }\n").report, HasSubstr("address with a port"));
  EXPECT_THAT(read("broker: { tls: { cert: \"a\\nb\", key: k } }\n").report, HasSubstr("one line"));
  EXPECT_THAT(read("broker: { queued_bytes_max: 1KiB, memory_max: 1MiB }\n").report, HasSubstr("16MiB to 64GiB"));
  EXPECT_THAT(read("broker: { save_every: 0s, message_max: 1GB }\n").report, HasSubstr("256MB"));
}

TEST(BrokerFiles, KeepUsersApart) {
  const std::vector<BrokerUser> users{{"a", "$7$1$x$y", {"t/a/#"}, {"t/a/set"}}, {"b", "", {}, {}}};
  EXPECT_EQ(passwords_text(users), "a:$7$1$x$y\n");
  EXPECT_EQ(access_text(users, false), "user a\ntopic write t/a/#\ntopic read t/a/set\nuser b\n");
  EXPECT_EQ(access_text({}, true), "topic readwrite #\n");
}

TEST(BrokerFiles, AreNarrowedInTheirPlace) {
  mqtt::test::Folder data;
  const std::vector<BrokerUser> before{
      {"a", "$a", {"t/a", "u"}, {"t/a"}}, {"b", "$b", {"t/b"}, {}}, {"c", "$c", {}, {}}};
  std::vector<BrokerUser> after{{"c", "$c", {"u"}, {}}, {"a", "$new", {"t/a", "t/more"}, {"u"}}};
  const std::string rules =
      fmt::format("{:#>17}\nuser a\ntopic write t/a\n{:#>13}\n{:#>14}\n{:#>6}\n{:#>15}\nuser c\n", "", "", "", "", "");
  EXPECT_EQ(common_rules(access_text(before, true), access_text(after, false)), rules);
  EXPECT_EQ(common_rules(passwords_text(before), passwords_text(after)), "####\n####\nc:$c\n");
  EXPECT_EQ(common_rules("user c\nuser b", "user c\n"), "user c\n######") << "whose last line has no end";
  const std::string path = data.write("acl", access_text(before, true));
  EXPECT_TRUE(narrow_file(path, access_text(after, false)));
  EXPECT_EQ(contents(path), rules);
  EXPECT_FALSE(narrow_file(path, access_text(after, false)));
  EXPECT_TRUE(narrow_file(path, ""));
  EXPECT_THAT(contents(path), testing::MatchesRegex("[#\n]*"));
  EXPECT_FALSE(narrow_file(data.file("nowhere"), "user a\n"));
}

TEST(BrokerFiles, RefuseNamesAndTopicsThatWouldBeMoreThanOneLine) {
  EXPECT_TRUE(check_user({"press-3", "", {"a/+"}, {}}));
  for (const char* bad : {"", "a\nuser root", "a:b", "a/b", "a+", " a", "#"})
    EXPECT_FALSE(check_user({bad, "", {}, {}}));
  EXPECT_FALSE(check_user({"a", "", {"t\ntopic readwrite #"}, {}}));
  EXPECT_FALSE(check_user({"a", "x\nb:y", {}, {}}));
}

TEST(BrokerFiles, CarryACertificateAsAUser) {
  BrokerUser user{"a", "", {"t/a/#"}, {"t/a/set"}};
  user.certificates = {"serialNumber=0A,CN=a"};
  EXPECT_TRUE(check_user(user));
  EXPECT_EQ(access_text({user}, false),
            "user a\ntopic write t/a/#\ntopic read t/a/set\n"
            "user serialNumber=0A,CN=a\ntopic write t/a/#\ntopic read t/a/set\n");
  user.certificates = {"CN=a\ntopic readwrite #"};
  EXPECT_FALSE(check_user(user));
}

TEST(BrokerFiles, KeepANameOfTheGatewaysOwn) {
  mqtt::test::Folder data;
  const BrokerFiles files(data.file("data"));
  ASSERT_TRUE(make_folder(files));
  const std::string name = load_own_name(files).value();
  EXPECT_EQ(load_own_name(files).value(), name);
  const BrokerFiles others(data.file("other"));
  ASSERT_TRUE(make_folder(others));
  EXPECT_NE(load_own_name(others).value(), name);
}

TEST(BrokerFiles, AreReplacedAtOnceAndForThisUserOnly) {
  mqtt::test::Folder data;
  const BrokerFiles files(data.file("deep/data"));
  ASSERT_TRUE(make_folder(files));
  EXPECT_EQ(replace_file(files.access(), "one").value(), true);
  EXPECT_EQ(replace_file(files.access(), "one").value(), false);
  EXPECT_EQ(replace_file(files.access(), "two").value(), true);
  namespace fs = std::filesystem;
  EXPECT_EQ(fs::status(files.access()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(files.folder).permissions(), fs::perms::owner_all);
  fs::remove_all(files.folder);
  fs::create_directory_symlink("/tmp", files.folder);
  EXPECT_FALSE(make_folder(files));
  EXPECT_FALSE(make_folder(BrokerFiles("/tmp/" + std::string(120, 'x'))));
}

TEST(PasswordHash, IsSaltedAndMosquittosOwn) {
  const base::Secret password("s3cret");
  EXPECT_TRUE(hash_password(password, 101).starts_with("$7$101$"));
  EXPECT_NE(hash_password(password), hash_password(password));
}

TEST(BrokerProgram, IsLookedForWhereProgramsAre) {
  auto none = find_program("/nowhere/mosquitto");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().detail, HasSubstr("program"));
  if (mqtt::test::Broker::installed()) EXPECT_TRUE(find_program(""));
}

}  // namespace
}  // namespace penstock::broker
