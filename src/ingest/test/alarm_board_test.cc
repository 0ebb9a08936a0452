#include "ingest/alarm_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/action_board.h"

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Memory : public StatePort {
  std::optional<std::string> get(const std::string& key) const override {
    auto found = values.find(key);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  }
  void put(std::string key, std::string value, Kept kept = {}) override {
    values[std::move(key)] = std::move(value);
    if (kept) kept({});
  }
  void erase(const std::string& key) override { values.erase(key); }
  std::vector<std::pair<std::string, std::string>> entries(const std::string& prefix) const override {
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& one : values) {
      if (one.first.starts_with(prefix)) found.push_back(one);
    }
    return found;
  }
  std::map<std::string, std::string> values;
};

struct Listener : public NotifyPort {
  std::vector<std::string> targets() const override { return {"shift", "boss"}; }
  void tell(const std::vector<std::string>& who, const Notice& notice) override {
    for (const std::string& one : who)
      told.push_back(
          fmt::format("{} {} {}", one, notice.event, notice.alarm.device.empty() ? "-" : notice.alarm.device));
    ids.push_back(notice.id);
    severities.push_back(notice.alarm.severity);
  }
  std::vector<std::string> told, ids, severities;
};

class AlarmBoardTest : public testing::Test {
 protected:
  AlarmBoardTest() { begin(); }
  void begin() {
    board = std::make_unique<AlarmBoard>();
    board->attach(&memory, &listener, &clock);
    board->on_event([this](const AlarmEvent& event) { events.push_back(event.what); });
    EXPECT_THAT(board->restore(), IsEmpty());
    board->declare("line", {{"hot", rules}}, clock.wall());
  }
  void change(bool raised, const std::string& device = "d", const std::string& severity = "warning",
              const std::string& name = "hot") {
    clock.advance(1ms);
    AlarmChange one;
    one.pipeline = "line";
    one.name = name;
    one.severity = severity;
    one.device = device;
    one.raised = raised;
    one.at = clock.wall();
    one.why = "temp > 80";
    board->change(one);
  }
  AlarmRecord::State state(std::size_t index = 0) { return board->records().at(index).state; }

  base::FakeClock clock;
  Memory memory;
  Listener listener;
  AlarmRules rules{.notify = {"shift"}};
  std::unique_ptr<AlarmBoard> board;
  std::vector<std::string> events;
};

TEST_F(AlarmBoardTest, ComesBackAsItWas) {
  change(true, "a");
  change(true, "b");
  board->acknowledge({.name = "hot", .device = "a"}, "ada", "seen");
  ASSERT_TRUE(board->shelve(
      {.pipeline = "line", .name = "hot", .device = "b", .until = clock.wall() + 60'000'000, .by = "ada"}));
  begin();
  ASSERT_EQ(board->records().size(), 2U);
  EXPECT_EQ(state(0), AlarmRecord::State::acknowledged);
  EXPECT_EQ(board->records()[0].acknowledged_by, "ada");
  EXPECT_EQ(board->records()[0].note, "seen");
  EXPECT_EQ(board->active_count(), 2U);
  EXPECT_TRUE(board->shelved(board->records()[1].change));
  EXPECT_EQ(board->raised("line", "hot").size(), 2U);
  change(false, "a");
  change(false, "b");
  begin();
  EXPECT_THAT(board->records(), IsEmpty());
}

TEST_F(AlarmBoardTest, WhatCannotBeReadIsSaidAndLeftOut) {
  memory.values[".alarm/line/hot\nd"] = "{broken";
  memory.values[".alarm/line/hot\ne"] = R"({"pipeline":"line","name":"hot","state":"dancing"})";
  memory.values[".shelf/line/hot\nd"] = "7";
  AlarmBoard other;
  other.attach(&memory, nullptr, &clock);
  EXPECT_EQ(other.restore().size(), 3U);
  EXPECT_THAT(other.records(), IsEmpty());
}

TEST_F(AlarmBoardTest, RaisedTwiceStaysAcknowledged) {
  change(true);
  board->acknowledge({.name = "hot"}, "ada", "");
  change(true);
  EXPECT_EQ(state(), AlarmRecord::State::acknowledged);
  EXPECT_EQ(board->active_count(), 1U);
  EXPECT_THAT(listener.told, ElementsAre("shift raised d"));
}

TEST_F(AlarmBoardTest, AReturnedAlarmWaitsWhereItIsWanted) {
  rules.acknowledge = true;
  begin();
  change(true);
  change(false);
  EXPECT_EQ(state(), AlarmRecord::State::returned);
  EXPECT_EQ(board->active_count(), 0U);
  begin();
  EXPECT_EQ(state(), AlarmRecord::State::returned);
  change(true);
  EXPECT_EQ(state(), AlarmRecord::State::unacknowledged);
  EXPECT_EQ(board->active_count(), 1U);
  EXPECT_EQ(board->acknowledge({.name = "hot"}, "ada", ""), 1U);
  change(false);
  EXPECT_THAT(board->records(), IsEmpty());
}

TEST_F(AlarmBoardTest, NobodyIsToldOfWhatIsShelved) {
  ASSERT_TRUE(board->shelve({.pipeline = "line", .name = "hot", .until = clock.wall() + 60'000'000, .by = "ada"}));
  change(true, "a");
  change(true, "b");
  change(false, "b");
  EXPECT_THAT(listener.told, IsEmpty());
  clock.advance(61s);
  board->tick();
  EXPECT_THAT(listener.told, ElementsAre("shift raised a"));
  EXPECT_THAT(board->shelves(), IsEmpty());
  EXPECT_EQ(memory.entries(".shelf/").size(), 0U);
}

TEST_F(AlarmBoardTest, EscalatesOnceWhatNobodySaw) {
  rules.escalate_after = 10min;
  rules.escalate_severity = "critical";
  rules.escalate_notify = {"boss"};
  begin();
  change(true, "a");
  change(true, "b");
  board->acknowledge({.name = "hot", .device = "b"}, "ada", "");
  clock.advance(9min);
  board->tick();
  listener.told.clear();
  clock.advance(2min);
  board->tick();
  board->tick();
  EXPECT_THAT(listener.told, ElementsAre("boss escalated a"));
  EXPECT_EQ(board->records()[0].change.severity, "critical");
  begin();
  clock.advance(20min);
  board->tick();
  EXPECT_EQ(listener.told.size(), 1U);
  change(false, "a");
  EXPECT_THAT(listener.told, ElementsAre("boss escalated a", "shift cleared a", "boss cleared a"));
}

TEST_F(AlarmBoardTest, AFloodIsOneNotice) {
  board->set_flood({.most = 3, .per = 1min});
  for (int i = 0; i < 10; ++i) change(true, fmt::format("d{}", i));
  EXPECT_THAT(listener.told, ElementsAre("shift raised d0", "shift raised d1", "shift raised d2", "shift raised -"));
  EXPECT_EQ(board->active_count(), 11U);
  EXPECT_EQ(board->suppressed_total(), 7U);
  change(false, "d9");  // nobody knew of it
  EXPECT_EQ(listener.told.size(), 4U);
  clock.advance(61s);
  board->tick();
  EXPECT_EQ(listener.told.back(), "shift cleared -");
  change(true, "d20");
  EXPECT_EQ(listener.told.back(), "shift raised d20");
}

TEST_F(AlarmBoardTest, AClockThatIsSetChangesNothingAboutAFlood) {
  board->set_flood({.most = 3, .per = 1min});
  for (int i = 0; i < 10; ++i) change(true, fmt::format("d{}", i));
  clock.set_wall(clock.wall() - 3'600'000'000);
  board->tick();
  EXPECT_EQ(listener.told.back(), "shift raised -");
  clock.advance(61s);
  board->tick();
  EXPECT_EQ(listener.told.back(), "shift cleared -");
}

TEST_F(AlarmBoardTest, AFloodHidesNoHigherSeverity) {
  rules.notify = {"shift"};
  begin();
  board->declare("line", {{"hot", rules}, {"door", {.notify = {"boss"}}}}, clock.wall());
  board->set_flood({.most = 3, .per = 1min});
  for (int i = 0; i < 10; ++i) change(true, fmt::format("i{}", i), "info");
  listener.told.clear();
  change(true, "w", "warning");
  for (int i = 0; i < 10; ++i) change(true, fmt::format("c{}", i), "critical");
  ASSERT_EQ(listener.told.size(), 11U);
  EXPECT_EQ(listener.told[0], "shift raised w");
  EXPECT_EQ(listener.told[10], "shift raised c9");
  // Critical alarms do not use up what others may come to.
  change(true, "x", "warning");
  EXPECT_EQ(listener.told.back(), "shift raised x");
  // Whoever is not told of an alarm is told of the flood, also who joins it later.
  change(true, "y", "info", "door");
  EXPECT_EQ(listener.told.back(), "boss raised -");
  change(true, "z", "info", "door");
  change(false, "i9", "info");
  EXPECT_EQ(listener.told.back(), "boss raised -");
  board->tick();
  EXPECT_THAT(board->raised("line", "flood")[0].why, HasSubstr("9 are listed and were not told of each"));
  clock.advance(61s);
  board->tick();
  EXPECT_THAT(board->history().front().why, HasSubstr("8 of them stand: door (info) 2, hot (info) 7"));
}

TEST_F(AlarmBoardTest, WhatNobodySawInAFloodEscalates) {
  rules = {.notify = {"shift"}, .escalate_after = 5min, .escalate_notify = {"boss"}};
  begin();
  board->set_flood({.most = 1, .per = 1min});
  change(true, "a");
  change(true, "b");
  listener.told.clear();
  clock.advance(4min);
  board->tick();
  clock.advance(2min);
  board->tick();
  EXPECT_THAT(listener.told, ElementsAre("shift cleared -", "boss escalated a", "boss escalated b"));
  change(false, "b");
  EXPECT_EQ(listener.told.back(), "boss cleared b");
}

TEST_F(AlarmBoardTest, WhatBecomesCriticalEscalatesInTheMiddleOfAFlood) {
  rules = {.notify = {"shift"}, .escalate_after = 30s, .escalate_severity = "critical"};
  begin();
  board->set_flood({.most = 1, .per = 1min});
  change(true, "a");
  change(true, "b");
  clock.advance(31s);
  board->tick();
  EXPECT_EQ(board->raised("line", "flood").size(), 1U);
  EXPECT_EQ(listener.told.back(), "shift escalated b");
}

TEST_F(AlarmBoardTest, AClockThatIsSetEscalatesNothing) {
  rules.escalate_after = 10min;
  begin();
  change(true);
  board->tick();
  listener.told.clear();
  clock.set_wall(clock.wall() + 86'400'000'000);
  board->tick();
  EXPECT_THAT(listener.told, IsEmpty());
  clock.set_wall(clock.wall() - 30 * 86'400'000'000);
  board->tick();
  clock.advance(11min);
  board->tick();
  EXPECT_THAT(listener.told, ElementsAre("shift escalated d"));
}

TEST_F(AlarmBoardTest, WhatWasNotedAheadOfTheClockEscalatesAfterARestart) {
  rules.escalate_after = 10min;
  begin();
  change(true);
  clock.set_wall(clock.wall() - 30 * 86'400'000'000);
  begin();
  listener.told.clear();
  clock.advance(11min);
  board->tick();
  EXPECT_THAT(listener.told, ElementsAre("shift escalated d"));
}

TEST_F(AlarmBoardTest, AClockThatIsSetBackShelvesNothingForLonger) {
  ASSERT_TRUE(board->shelve({.pipeline = "line", .name = "hot", .until = clock.wall() + 60'000'000, .by = "ada"}));
  change(true);
  board->tick();
  clock.set_wall(clock.wall() - 30 * 86'400'000'000);
  board->tick();
  clock.advance(61s);
  board->tick();
  EXPECT_THAT(listener.told, ElementsAre("shift raised d"));
}

TEST_F(AlarmBoardTest, WhoWasToldOfACriticalOneIsToldThatItIsOver) {
  rules = {.notify = {"shift"}, .escalate_after = 10s, .escalate_severity = "critical"};
  begin();
  change(true);
  clock.advance(11s);
  board->tick();
  change(false);
  EXPECT_EQ(listener.severities.back(), "critical");
}

TEST_F(AlarmBoardTest, TheConfigurationDecidesWhatCanStand) {
  change(true);
  board->declare("line", {{"cold", {}}}, clock.wall());
  EXPECT_THAT(board->records(), IsEmpty());
  EXPECT_THAT(board->history().front().why, HasSubstr("has this alarm no more"));
  begin();
  change(true);
  board->clear_others({"other"}, clock.wall(), "the pipeline was removed");
  EXPECT_THAT(board->records(), IsEmpty());
  EXPECT_THAT(memory.entries(".alarm/"), IsEmpty());
}

TEST_F(AlarmBoardTest, NoticesOfOneChangeHaveOneId) {
  change(true);
  change(false);
  ASSERT_EQ(listener.ids.size(), 2U);
  EXPECT_NE(listener.ids[0], listener.ids[1]);
  EXPECT_EQ(listener.ids[0].size(), 32U);
}

}  // namespace
}  // namespace penstock::ingest
