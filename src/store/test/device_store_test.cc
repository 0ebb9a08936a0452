#include "store/device_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/secret.h"

namespace penstock::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Devices : public testing::Test {
 protected:
  Devices() : state(std::move(*State::open(path))), store(state) {}
  ~Devices() override { std::filesystem::remove_all(path); }
  static Actor by(base::WallMicros at) { return {"cli:test", at}; }
  void add(const std::string& name) {
    StoredDevice device;
    device.name = name;
    device.created = 5;
    ASSERT_TRUE(store.add(device, by(5)).has_value());
  }
  StoredCommand command(const std::string& id, base::WallMicros expires) {
    StoredCommand command;
    command.id = id;
    command.device = "press-7";
    command.name = "blink";
    command.created = 10;
    command.expires = expires;
    return command;
  }
  std::vector<std::string> actions() {
    std::vector<std::string> all;
    for (const AuditEntry& entry : state.audit(0, 1000).value()) all.push_back(entry.action);
    return all;
  }

  std::string path = std::filesystem::temp_directory_path() / ("penstock-devices-" + base::random_token(9));
  State state;
  DeviceStore store;
};

TEST_F(Devices, OnlyWhatChangedIsReadWithItsCredentials) {
  add("a");
  std::int64_t before = store.revision().value();
  add("b");
  ASSERT_TRUE(store.add_credential({"b", "secret", "id", "hash", "$7$", 5, 0}, "device.credential", by(6)).has_value());
  std::vector<std::string> seen;
  auto look = [&](const StoredDevice& device, const std::vector<StoredCredential>& credentials) {
    seen.push_back(device.name);
    for (const StoredCredential& one : credentials) seen.push_back(one.hash);
  };
  ASSERT_TRUE(store.read(before, look).has_value());
  EXPECT_THAT(seen, ElementsAre("b", "hash"));
  EXPECT_THAT(actions(), ElementsAre("device.create", "device.create", "device.credential"));
  EXPECT_TRUE(state.verify_audit().has_value());
}

TEST_F(Devices, ANameIsTakenOnce) {
  add("a");
  StoredDevice again;
  again.name = "a";
  EXPECT_EQ(store.add(again, by(6)).error().code, Errc::already_exists);
}

TEST_F(Devices, ACodeIsGoodOnceAndNotTooLate) {
  add("press-7");
  ASSERT_TRUE(
      store.add_credential({"press-7", "code", "1", "h1", "", 5, 100}, "device.onboard_code", by(5)).has_value());
  auto make = [](const StoredDevice& device) -> Result<StoredCredential> {
    return StoredCredential{device.name, "secret", "s1", "hash", "", 50, 0};
  };
  EXPECT_EQ(store.use_code("h1", 100, make).error().code, Errc::not_found);
  EXPECT_EQ(store.use_code("other", 50, make).error().code, Errc::not_found);
  ASSERT_TRUE(store.use_code("h1", 50, make).has_value());
  EXPECT_EQ(store.use_code("h1", 51, make).error().code, Errc::not_found);
  EXPECT_EQ(store.credentials("press-7").value().size(), 1U);
}

TEST_F(Devices, ACodeStaysGoodWhenNothingCouldBeMadeForIt) {
  add("press-7");
  ASSERT_TRUE(
      store.add_credential({"press-7", "code", "1", "h1", "", 5, 100}, "device.onboard_code", by(5)).has_value());
  auto broken = [](const StoredDevice&) -> Result<StoredCredential> { return fail(Errc::invalid_argument, "no CSR"); };
  EXPECT_EQ(store.use_code("h1", 50, broken).error().code, Errc::invalid_argument);
  auto make = [](const StoredDevice& device) -> Result<StoredCredential> {
    return StoredCredential{device.name, "secret", "s1", "hash", "", 50, 0};
  };
  EXPECT_TRUE(store.use_code("h1", 51, make).has_value());
}

TEST_F(Devices, ARevokedCertificateIsListedUntilItWouldHaveEnded) {
  add("a");
  ASSERT_TRUE(store.add_credential({"a", "certificate", "0A", "fp", "", 5, 1000}, "device.issue", by(5)).has_value());
  EXPECT_EQ(store.revoke("a", "certificate", "", by(20)).value(), 1);
  EXPECT_EQ(store.revoke("a", "certificate", "", by(21)).value(), 0);
  EXPECT_TRUE(store.credentials("a").value().empty());
  EXPECT_THAT(store.revoked_certificates(30).value(), ElementsAre(std::pair<std::string, base::WallMicros>("0A", 20)));
  EXPECT_TRUE(store.revoked_certificates(1000).value().empty());
}

TEST_F(Devices, ATwinChangesOnlyFromTheVersionThatWasRead) {
  add("a");
  EXPECT_EQ(store.twin("b").error().code, Errc::not_found);
  EXPECT_EQ(store.set_desired("a", R"({"rate":5})", 0, by(6)).value().desired_version, 1);
  EXPECT_EQ(store.set_desired("a", R"({"rate":6})", 0, by(7)).error().code, Errc::failed_precondition);
  EXPECT_EQ(store.set_reported("a", R"({"rate":5})", std::nullopt, 8).value().reported_version, 1);
  EXPECT_EQ(store.twin("a").value().desired, R"({"rate":5})");
  EXPECT_EQ(store.twin("a").value().desired_version, 1);
}

TEST_F(Devices, ACommandIsDeliveredAgainUntilItIsAnswered) {
  add("press-7");
  ASSERT_TRUE(store.add_command(command("1", 1'000'000'000), by(10)).has_value());
  ASSERT_EQ(store.deliver("press-7", 20).value().size(), 1U);
  EXPECT_TRUE(store.deliver("press-7", 21).value().empty());
  EXPECT_EQ(store.deliver("press-7", 20 + DeviceStore::kDeliverAgainAfter).value().size(), 1U);
  EXPECT_EQ(store.end_command("press-7", "1", "done", R"({"ok":true})", by(50)).value().state, "done");
  EXPECT_TRUE(store.end_command("press-7", "1", "done", "", by(51)).has_value());
  EXPECT_EQ(store.end_command("press-7", "1", "failed", "", by(52)).error().code, Errc::failed_precondition);
  EXPECT_EQ(store.end_command("press-8", "1", "done", "", by(53)).error().code, Errc::not_found);
  EXPECT_EQ(store.command("press-7", "1").value()->result, R"({"ok":true})");
}

TEST_F(Devices, ACommandExpires) {
  add("press-7");
  ASSERT_TRUE(store.add_command(command("1", 100), by(10)).has_value());
  EXPECT_TRUE(store.deliver("press-7", 100).value().empty());
  EXPECT_EQ(store.end_command("press-7", "1", "done", "", by(100)).error().code, Errc::failed_precondition);
  EXPECT_EQ(store.expire_commands(100).value(), 1);
  EXPECT_EQ(store.expire_commands(100).value(), 0);
  EXPECT_EQ(store.command("press-7", "1").value()->state, "expired");
}

TEST_F(Devices, OpenCommandsAreBounded) {
  add("press-7");
  for (int i = 0; i < DeviceStore::kOpenCommandsMax; ++i)
    ASSERT_TRUE(store.add_command(command(std::to_string(i), 1000), by(10)).has_value());
  EXPECT_EQ(store.add_command(command("one more", 1000), by(10)).error().code, Errc::resource_exhausted);
}

TEST_F(Devices, BeingSeenMakesANewDeviceActiveAndNobodyElse) {
  add("a");
  add("b");
  auto shout = [](StoredDevice& device) {
    device.state = "quarantined";
    device.why = "it shouts";
    return Result<void>();
  };
  ASSERT_TRUE(store.change("b", "device.quarantine", by(7), shout).has_value());
  ASSERT_TRUE(store.note_seen({{"a", 9}, {"b", 9}, {"nobody", 9}}).has_value());
  EXPECT_EQ(store.device("a").value()->state, "active");
  EXPECT_EQ(store.device("a").value()->last_seen, 9);
  EXPECT_EQ(store.device("b").value()->state, "quarantined");
}

TEST_F(Devices, AChangeThatIsRefusedChangesNothing) {
  add("a");
  ASSERT_TRUE(store.add_credential({"a", "secret", "id", "hash", "", 5, 0}, "device.credential", by(6)).has_value());
  const std::int64_t before = store.revision().value();
  auto refused = store.change_and_revoke("a", "device.retire", by(7), [](StoredDevice& device) -> Result<void> {
    device.state = "retired";
    return fail(Errc::failed_precondition, "no");
  });
  EXPECT_EQ(refused.error().code, Errc::failed_precondition);
  EXPECT_EQ(store.device("a").value()->state, "new");
  EXPECT_EQ(store.credentials("a").value().size(), 1U);
  EXPECT_EQ(store.revision().value(), before);
  EXPECT_EQ(store.change("nobody", "device.update", by(7), {}).error().code, Errc::not_found);
}

TEST_F(Devices, ACommandThatWasPublishedStaysPending) {
  add("press-7");
  ASSERT_TRUE(store.add_command(command("c1", 1000), by(10)).has_value());
  ASSERT_TRUE(store.note_told("c1", 20).has_value());
  auto open = store.open_commands("press-7", 30).value();
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].state, "pending");
  EXPECT_EQ(open[0].delivered, 20);
  EXPECT_EQ(store.deliver("press-7", 30).value().size(), 1U) << "who asks for it gets it at once";
}

TEST_F(Devices, ListsAreFilteredAndCounted) {
  for (const char* name : {"press-1", "press-2", "mill"}) add(name);
  auto grouped = [](StoredDevice& device) {
    device.groups = R"(["hall-1"])";
    return Result<void>();
  };
  ASSERT_TRUE(store.change("press-2", "device.update", by(7), grouped).has_value());
  DeviceQuery query;
  query.prefix = "press";
  EXPECT_EQ(store.count(query).value(), 2);
  query.group = "hall-1";
  ASSERT_EQ(store.devices(query).value().size(), 1U);
  EXPECT_EQ(store.devices(query).value().front().name, "press-2");
}

}  // namespace
}  // namespace penstock::store
