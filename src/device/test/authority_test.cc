#include "device/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "device/command.h"
#include "device/credential.h"
#include "device/name.h"

namespace penstock::device {
namespace {

using testing::HasSubstr;
using testing::Not;

class Folder {
 public:
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path = std::filesystem::temp_directory_path() / ("penstock-ca-" + base::random_token(9));
};

base::WallMicros now() { return base::system_clock().wall(); }

// One of ca.crl.
struct List {
  int revoked = 0;
  std::time_t from = 0, until = 0;
  std::string key;  // its authority's
};

std::time_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return ::timegm(&parts);
}

std::vector<List> lists_of(const std::string& folder) {
  std::vector<List> lists;
  BIO* file = BIO_new_file((folder + "/ca.crl").c_str(), "r");
  while (X509_CRL* read = file == nullptr ? nullptr : PEM_read_bio_X509_CRL(file, nullptr, nullptr, nullptr)) {
    auto* id =
        static_cast<AUTHORITY_KEYID*>(X509_CRL_get_ext_d2i(read, NID_authority_key_identifier, nullptr, nullptr));
    List& list = lists.emplace_back();
    list.revoked = std::max(0, sk_X509_REVOKED_num(X509_CRL_get_REVOKED(read)));  // -1: no list
    list.from = seconds_of(X509_CRL_get0_lastUpdate(read));
    list.until = seconds_of(X509_CRL_get0_nextUpdate(read));
    if (id != nullptr && id->keyid != nullptr)
      list.key.assign(reinterpret_cast<const char*>(id->keyid->data), static_cast<std::size_t>(id->keyid->length));
    AUTHORITY_KEYID_free(id);
    X509_CRL_free(read);
  }
  BIO_free(file);
  return lists;
}

TEST(Authority, IsMadeOnceAndKeptToItself) {
  Folder folder;
  EXPECT_EQ(Authority::open(folder.path).error().code, Errc::failed_precondition);
  ASSERT_TRUE(Authority::make(folder.path, "Plant", 3650, now(), false).has_value());
  EXPECT_EQ(Authority::make(folder.path, "Plant", 3650, now(), false).error().code, Errc::already_exists);
  struct stat info{};
  ASSERT_EQ(::stat((folder.path + "/ca.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  auto opened = Authority::open(folder.path);
  ASSERT_TRUE(opened.has_value()) << opened.error().detail;
  EXPECT_THAT(opened->pem(), Not(HasSubstr("PRIVATE")));
}

TEST(Authority, IssuesUnderANumberThatNobodyElseHas) {
  Folder folder;
  Authority authority = Authority::make(folder.path, "Plant", 3650, now(), false).value();
  auto one = authority.issue("press-7", 30, now());
  auto other = authority.issue("press-7", 30, now());
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->serial, other->serial);
  EXPECT_NE(one->fingerprint, other->fingerprint);
  EXPECT_THAT(std::string(one->key.reveal()), HasSubstr("PRIVATE KEY"));
  EXPECT_EQ(authority.issue("press-7", 0, now()).error().code, Errc::invalid_argument);
  EXPECT_EQ(authority.issue("press-7", 3651, now()).error().code, Errc::invalid_argument);
}

TEST(Authority, NothingItIssuesOutlivesIt) {
  Folder folder;
  Authority authority = Authority::make(folder.path, "Plant", 10, now(), false).value();
  EXPECT_EQ(authority.issue("press-7", 365, now()).value().expires, authority.expires());
  EXPECT_EQ(authority.issue("press-7", 365, authority.expires() + 1).error().code, Errc::failed_precondition);
}

TEST(Authority, RefusesWhatIsNoRequest) {
  Folder folder;
  Authority authority = Authority::make(folder.path, "Plant", 10, now(), false).value();
  for (const std::string& wrong : {std::string("x"), std::string(20'000, 'x'),
                                   std::string("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE "
                                               "REQUEST-----\n")})
    EXPECT_EQ(authority.sign("press-7", wrong, 10, now()).error().code, Errc::invalid_argument);
}

TEST(Authority, ADamagedFileIsSaid) {
  Folder folder;
  ASSERT_TRUE(Authority::make(folder.path, "Plant", 10, now(), false).has_value());
  std::ofstream(folder.path + "/ca.key") << "half of it";
  EXPECT_EQ(Authority::open(folder.path).error().code, Errc::data_loss);
}

TEST(Authority, TheOneBeforeStaysTrustedUntilItEnds) {
  Folder folder;
  base::WallMicros begin = now();
  ASSERT_TRUE(Authority::make(folder.path, "First", 1, begin, false).has_value());
  ASSERT_TRUE(Authority::make(folder.path, "Second", 100, begin + 1000, true).has_value());
  auto count = [&] {
    std::ifstream file(folder.path + "/trust.pem");
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find("BEGIN CERTIFICATE", at)) != std::string::npos; ++at) ++found;
    return found;
  };
  EXPECT_EQ(count(), 2U);
  ASSERT_TRUE(Authority::make(folder.path, "Third", 100, begin + 2 * 86'400'000'000, true).has_value());
  EXPECT_EQ(count(), 2U);
}

// Whoever reads `path` again after each change knows the last list from those before by its time.
TEST(Authority, KeepsTheListsOfFormerOnesAndDatesEachLater) {
  Folder folder;
  const base::WallMicros begin = now();
  Authority first = Authority::make(folder.path, "Plant", 10, begin, false).value();
  std::vector<std::pair<std::string, base::WallMicros>> revoked{{"0A", begin}};
  ASSERT_TRUE(first.write_revoked(revoked, begin));
  const std::vector<List> before = lists_of(folder.path);
  revoked.emplace_back("0B", begin);
  ASSERT_TRUE(first.write_revoked(revoked, begin));
  std::vector<List> lists = lists_of(folder.path);
  ASSERT_EQ(lists.size(), 1U);
  EXPECT_EQ(lists[0].revoked, 2);
  EXPECT_GT(lists[0].from, before[0].from);
  EXPECT_EQ(lists[0].until, first.expires() / 1'000'000);
  // The same name: which list is whose its key says.
  Authority second = Authority::make(folder.path, "Plant", 100, begin + 1, true).value();
  ASSERT_TRUE(second.write_revoked({}, begin + 2));
  lists = lists_of(folder.path);
  ASSERT_EQ(lists.size(), 2U);
  EXPECT_EQ(lists[0].revoked, 0);
  EXPECT_EQ(lists[1].revoked, 2);
  EXPECT_NE(lists[0].key, lists[1].key);
  ASSERT_TRUE(second.write_revoked({}, first.expires() + 1));
  EXPECT_EQ(lists_of(folder.path).size(), 1U);
}

TEST(Authority, NoListIsFromTheFuture) {
  Folder folder;
  const base::WallMicros begin = now();
  Authority plant = Authority::make(folder.path, "Plant", 1000, begin, false).value();
  std::vector<std::pair<std::string, base::WallMicros>> revoked;
  const auto write = [&](base::WallMicros at) {
    revoked.emplace_back(fmt::format("{:04X}", 0x1000 + revoked.size()), at);
    ASSERT_TRUE(plant.write_revoked(revoked, at));
  };
  for (int i = 0; i < 400; ++i) write(begin);
  ASSERT_EQ(lists_of(folder.path).size(), 1U);
  EXPECT_EQ(lists_of(folder.path)[0].revoked, 400);
  EXPECT_LE(lists_of(folder.path)[0].from, begin / 1'000'000) << "many at once";
  write(begin + 365 * 86'400'000'000);
  ASSERT_TRUE(plant.write_revoked(revoked, begin));
  EXPECT_LE(lists_of(folder.path)[0].from, begin / 1'000'000) << "the clock was set back";
}

TEST(Authority, AListThatSaysAllStays) {
  Folder folder;
  const base::WallMicros begin = now();
  Authority plant = Authority::make(folder.path, "Plant", 1000, begin, false).value();
  ASSERT_TRUE(plant.write_revoked({{"0A", begin}}, begin));
  const std::time_t from = lists_of(folder.path).at(0).from;
  ASSERT_TRUE(plant.write_revoked({{"0A", begin}}, begin + 60'000'000));
  EXPECT_EQ(lists_of(folder.path).at(0).from, from);
}

TEST(Credential, ACodeIsKnownHoweverItIsTyped) {
  base::Secret installation("0123456789");
  FreshCredential fresh = make_code("press-7", installation, 1, 2);
  std::string code(fresh.secret.reveal());
  EXPECT_EQ(code.size(), 19U);
  std::string typed;
  for (char c : code) typed += c == '-' ? ' ' : static_cast<char>(std::tolower(c));
  EXPECT_EQ(hash_of_code(typed, installation), fresh.stored.hash);
  EXPECT_NE(hash_of_code("2222-2222-2222-2222", installation), fresh.stored.hash);
}

TEST(Credential, ASecretIsStoredAsHashesAlone) {
  FreshCredential fresh = make_secret("press-7", base::Secret("0123456789"), 1);
  std::string secret(fresh.secret.reveal());
  EXPECT_THAT(secret, testing::StartsWith("pd-"));
  EXPECT_THAT(fresh.stored.broker, testing::MatchesRegex("\\$7\\$101\\$[A-Za-z0-9+/]{16}\\$[A-Za-z0-9+/]{86}=="));
  EXPECT_THAT(fresh.stored.hash + fresh.stored.broker + fresh.stored.id, Not(HasSubstr(secret)));
  EXPECT_NE(broker_hash("x"), broker_hash("x")) << "salted";
}

TEST(Name, OfTheGatewayIsNobodys) {
  EXPECT_TRUE(check_name("press-7"));
  for (const char* own : {"penstock-gateway", "penstock-gateway-2"})
    EXPECT_EQ(check_name(own).error().code, Errc::invalid_argument) << own;
}

TEST(Name, IsPlain) {
  for (const char* good : {"press-7", "a", "A.b_c-9"}) EXPECT_TRUE(is_name(good)) << good;
  for (const char* bad : {"", ".", "..", ".hidden", "a/b", "a b", "a+", "#", "a:b", "\xc3\xa4"})
    EXPECT_FALSE(is_name(bad)) << bad;
  EXPECT_FALSE(is_name(std::string(65, 'a')));
}

TEST(Twin, ChangesMemberByMember) {
  auto patched = patch_twin(R"({"rate":5,"net":{"dns":"a","mtu":1500}})",
                            json::parse(R"({"rate":null,"net":{"dns":"b"},"new":1})")->get_object());
  EXPECT_EQ(*json::parse(*patched), *json::parse(R"({"net":{"dns":"b","mtu":1500},"new":1})"));
  EXPECT_EQ(read_twin("[]").error().code, Errc::invalid_argument);
  EXPECT_EQ(read_twin("{\"a\":\"" + std::string(kTwinBytesMax, 'x') + "\"}").error().code, Errc::invalid_argument);
}

TEST(Command, IsBounded) {
  EXPECT_TRUE(make_command("press-7", "blink", nullptr, {}, 1).has_value());
  EXPECT_FALSE(make_command("press-7", "b l", nullptr, {}, 1));
  EXPECT_FALSE(make_command("press-7", "blink", json::Value(std::string(kPayloadBytesMax, 'x')), {}, 1));
  EXPECT_FALSE(make_command("press-7", "blink", nullptr, kCommandLifetimeMax + std::chrono::seconds(1), 1));
  EXPECT_EQ(read_answer(*json::parse("{}"))->state, "done");
  EXPECT_FALSE(read_answer(*json::parse(R"({"state":"maybe"})")));
  EXPECT_FALSE(read_answer(*json::parse("3")));
}

}  // namespace
}  // namespace penstock::device
