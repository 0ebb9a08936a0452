#include "device/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace penstock::device {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

store::StoredDevice stored(const std::string& name, const std::string& state = "new") {
  store::StoredDevice device;
  device.name = name;
  device.state = state;
  return device;
}

Settings settings(Unknown unknown, const std::vector<std::string>& rules = {}) {
  Settings made;
  made.unknown = unknown;
  for (const std::string& rule : rules) made.quarantine_if.push_back(parse_rule(rule).value());
  return made;
}

TEST(Registry, TakesEverybodyWhileNothingIsKnown) {
  Registry registry;
  EXPECT_TRUE(registry.admit("anybody"));
  EXPECT_TRUE(registry.counts().empty());
}

TEST(Registry, TakesNothingFromQuarantineOrTheRetired) {
  Registry registry;
  registry.put(stored("a"), {});
  registry.put(stored("b", "quarantined"), {});
  registry.put(stored("c", "retired"), {});
  EXPECT_TRUE(registry.admit("a"));
  EXPECT_FALSE(registry.admit("b"));
  EXPECT_FALSE(registry.admit("c"));
  EXPECT_TRUE(registry.admit("stranger"));
  EXPECT_EQ(registry.standing("a")->samples, 1U);
  EXPECT_EQ(registry.standing("b")->refused, 1U);
  EXPECT_EQ(registry.check("b").error().code, Errc::permission_denied);
  EXPECT_EQ(registry.check("stranger").error().code, Errc::not_found);
  registry.put(stored("b", "active"), {});
  EXPECT_TRUE(registry.admit("b"));
}

TEST(Registry, StrangersAreRefusedOrKeptInQuarantine) {
  Registry registry;
  registry.configure(settings(Unknown::refuse));
  EXPECT_FALSE(registry.admit("stranger"));
  EXPECT_FALSE(registry.standing("stranger"));
  registry.configure(settings(Unknown::quarantine));
  EXPECT_FALSE(registry.admit("stranger"));
  EXPECT_FALSE(registry.admit("stranger"));
  EXPECT_FALSE(registry.admit("no name at all/"));
  EXPECT_THAT(registry.take_strangers(), ElementsAre("stranger"));
  EXPECT_TRUE(registry.take_strangers().empty());
  EXPECT_EQ(registry.standing("stranger")->state, State::quarantined);
}

TEST(Registry, KeepsABoundedNumberOfStrangers) {
  Registry registry;
  registry.configure(settings(Unknown::quarantine));
  for (std::size_t i = 0; i < Registry::kStrangersMax + 100; ++i) registry.admit("d" + std::to_string(i));
  EXPECT_EQ(registry.counts()[State::quarantined], Registry::kStrangersMax);
  obs::MetricWriter writer;
  registry.collect(writer);
  EXPECT_THAT(writer.text(), HasSubstr("penstock_device_samples_refused_total{why=\"unknown\"} 10100\n"));
}

TEST(Registry, SaysWhoWasSeenSinceTheLastTime) {
  Registry registry;
  registry.set_time(100);
  registry.put(stored("a"), {});
  registry.put(stored("b"), {});
  registry.admit("a");
  EXPECT_THAT(registry.take_seen(), ElementsAre(std::pair<std::string, base::WallMicros>("a", 100)));
  EXPECT_EQ(registry.standing("a")->state, State::active);
  EXPECT_TRUE(registry.take_seen().empty());
  registry.set_time(200);
  registry.note_seen("b");
  EXPECT_THAT(registry.take_seen(), ElementsAre(std::pair<std::string, base::WallMicros>("b", 200)));
}

TEST(Registry, EveryOneOfAFleetIsSeenInTurn) {
  Registry registry;
  constexpr int kFleet = 6000;
  std::set<std::string> seen;
  for (int i = 0; i < kFleet; ++i) registry.put(stored(fmt::format("d{}", i)), {});
  for (int round = 1; round <= 2; ++round) {
    registry.set_time(round * 100);
    for (int i = 0; i < kFleet; ++i) registry.note_seen(fmt::format("d{}", i));
    for (const auto& [name, at] : registry.take_seen()) seen.insert(name);
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kFleet));
}

TEST(Registry, ADeviceThatBreaksARuleIsPutIntoQuarantine) {
  Registry registry;
  registry.configure(settings(Unknown::accept, {"malformed > 3/min", "samples > 5/s"}));
  for (const char* name : {"calm", "broken", "loud"}) registry.put(stored(name), {});
  base::SteadyTime now{1h};
  EXPECT_TRUE(registry.judge(now).empty());
  for (int i = 0; i < 3; ++i) registry.note_malformed("calm");
  for (int i = 0; i < 4; ++i) registry.note_malformed("broken");
  for (int i = 0; i < 6; ++i) registry.admit("loud");
  auto verdicts = registry.judge(now + 1s);
  ASSERT_EQ(verdicts.size(), 2U);
  EXPECT_EQ(verdicts[0].device, "broken");
  EXPECT_THAT(verdicts[0].why, HasSubstr("malformed > 3/min"));
  EXPECT_EQ(verdicts[1].device, "loud");
  EXPECT_FALSE(registry.admit("loud"));
  EXPECT_TRUE(registry.judge(now + 2s).empty()) << "once is enough";
}

TEST(Registry, ARuleCountsWithinItsTimeAlone) {
  Registry registry;
  registry.configure(settings(Unknown::accept, {"malformed > 3/min"}));
  registry.put(stored("slow"), {});
  base::SteadyTime now{1h};
  for (int minute = 0; minute < 5; ++minute) {
    EXPECT_TRUE(registry.judge(now).empty());
    for (int i = 0; i < 3; ++i) registry.note_malformed("slow");
    now += 61s;
    EXPECT_TRUE(registry.judge(now).empty());
  }
}

TEST(Registry, TheBrokerKnowsThoseThatMaySpeak) {
  Registry registry;
  registry.put(stored("a"), {{"a", "secret", "1", "h", "$7$old", 1, 0}, {"a", "secret", "2", "h", "$7$new", 2, 0}});
  registry.put(stored("b"), {{"b", "certificate", "0A", "h", "", 1, 0}});
  registry.put(stored("c", "quarantined"), {{"c", "secret", "1", "h", "$7$c", 1, 0}});
  registry.put(stored("d"), {});
  auto all = registry.broker_identities();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_THAT(all[0].passwords, ElementsAre("$7$new", "$7$old"));
  EXPECT_THAT(all[0].publish, ElementsAre("devices/a/#"));
  EXPECT_THAT(all[0].certificates, ElementsAre());
  EXPECT_THAT(all[1].certificates, ElementsAre("serialNumber=0A,CN=b"));
}

TEST(Registry, SaysWhenABrokerHasToKnowADeviceOtherwise) {
  Registry registry;
  store::StoredCredential one{"a", "certificate", "0A", "h", "", 1, 0};
  store::StoredCredential other{"a", "certificate", "0B", "h", "", 2, 0};
  EXPECT_TRUE(registry.put(stored("a"), {one, other}));
  EXPECT_FALSE(registry.put(stored("a", "active"), {one, other}));
  EXPECT_TRUE(registry.put(stored("a", "active"), {other}));
  EXPECT_THAT(registry.broker_identities()[0].certificates, ElementsAre("serialNumber=0B,CN=a"));
  EXPECT_TRUE(registry.put(stored("a", "quarantined"), {other}));
  EXPECT_THAT(registry.broker_identities(), ElementsAre());
}

TEST(Registry, IsReadWhileItGrows) {
  Registry registry;
  registry.put(stored("first", "quarantined"), {});
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load()) EXPECT_FALSE(registry.admit("first"));
  });
  for (int i = 0; i < 5000; ++i) registry.put(stored("d" + std::to_string(i)), {});
  done.store(true);
  reader.join();
  EXPECT_EQ(registry.counts()[State::fresh], 5000U);
  EXPECT_TRUE(registry.admit("d4999"));
}

TEST(QuarantineRule, IsReadStrictly) {
  QuarantineRule rule = parse_rule("malformed > 50/min").value();
  EXPECT_EQ(rule.most, 50U);
  EXPECT_EQ(rule.within, 1min);
  EXPECT_EQ(parse_rule("samples>1000/s").value().figure, QuarantineRule::Figure::samples);
  for (const char* wrong : {"", "malformed", "malformed > x/min", "noise > 5/min", "malformed > 5/year",
                            "samples < 5/s", "samples > 0/s", "samples > -5/s", "/>"})
    EXPECT_FALSE(parse_rule(wrong)) << wrong;
}

// The store is read while the verdict is on its way into it.
TEST(Registry, OldNewsLetNobodyOut) {
  Registry registry;
  registry.configure(settings(Unknown::accept, {"malformed > 1/min"}));
  auto device = stored("a", "active");
  device.revision = 3;
  registry.put(device, {{"a", "secret", "s", "hash", "$7$hash", 1, 0}});
  EXPECT_TRUE(registry.judge(base::SteadyTime(1s)).empty());
  for (int i = 0; i < 5; ++i) registry.note_malformed("a");
  ASSERT_EQ(registry.judge(base::SteadyTime(2s)).size(), 1U);
  device.revision = 4;  // its twin, say
  registry.put(device, {{"a", "secret", "s", "hash", "$7$hash", 1, 0}});
  EXPECT_FALSE(registry.admit("a"));
  EXPECT_TRUE(registry.broker_identities().empty());
  EXPECT_THAT(registry.standing("a")->why, HasSubstr("malformed"));
  registry.settle("a", 5);
  registry.put(device, {});
  EXPECT_FALSE(registry.admit("a")) << "read before the verdict was written";
  device.revision = 6;  // released by somebody who saw it
  registry.put(device, {});
  EXPECT_TRUE(registry.admit("a"));
}

}  // namespace
}  // namespace penstock::device
