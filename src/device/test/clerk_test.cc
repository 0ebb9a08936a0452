#include "device/clerk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "base/test/full_disk.h"
#include "device/authority.h"
#include "device/command.h"
#include "device/onboarding.h"
#include "json/value.h"

namespace penstock::device {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// The clerk's threads look at it too.
class SharedClock : public base::Clock {
 public:
  base::SteadyTime steady() const override { return base::SteadyTime(std::chrono::microseconds(wall_.load())); }
  base::WallMicros wall() const override { return wall_.load(); }
  void advance(std::chrono::microseconds by) { wall_ += by.count(); }

 private:
  std::atomic<base::WallMicros> wall_{1'700'000'000'000'000};
};

class AtTheClerk : public testing::Test {
 protected:
  AtTheClerk() : state_(*store::State::open(path_)), store_(state_) { open(); }
  ~AtTheClerk() override {
    clerk_.reset();
    std::filesystem::remove_all(path_);
  }
  void open() {
    clerk_.reset();
    clerk_ = *Clerk::open(
        {.data_dir = path_, .installation = base::Secret("installation"), .clock = &clock_, .changed = {}});
  }
  store::Actor by() const { return {"cli:test", clock_.wall()}; }
  void add(const std::string& name) {
    store::StoredDevice device;
    device.name = name;
    device.created = clock_.wall();
    ASSERT_TRUE(store_.add(device, by()));
    clerk_->refresh();
  }
  std::string command(const std::string& device) {
    auto made = make_command(device, "blink", {}, 1h, clock_.wall());
    EXPECT_TRUE(store_.add_command(*made, by()));
    clerk_->refresh();
    return made->id;
  }
  // Something changes at the device, and the clerk has seen to it.
  void touch(const std::string& device) {
    ASSERT_TRUE(store_.set_desired(device, "{}", std::nullopt, by()));
    clerk_->refresh();
    catch_up();
  }
  // Whatever the store's thread was given before is done.
  void catch_up() { EXPECT_TRUE(take({})); }
  bool take(std::vector<DeviceMessage> messages) {
    std::promise<bool> settled;
    clerk_->take_messages(std::move(messages), [&](bool taken) { settled.set_value(taken); });
    return settled.get_future().get();
  }
  void listen() {
    clerk_->publish_with([this](Publication one) {
      if (one.told) one.told(broker_takes_);
      if (one.topic.ends_with("/commands")) told_.push_back(std::move(one));
    });
    catch_up();
  }
  std::string state_of(const std::string& device, const std::string& id) {
    return store_.command(device, id).value().value().state;
  }

  const std::string path_ = std::filesystem::temp_directory_path() / ("penstock-clerk-" + base::random_token(9));
  SharedClock clock_;
  store::State state_;
  store::DeviceStore store_;
  rt::Loop loop_;
  std::vector<Publication> told_;  // commands; the store's thread until catch_up()
  std::atomic<bool> broker_takes_{true};
  std::unique_ptr<Clerk> clerk_;
};

TEST_F(AtTheClerk, ACommandIsAnsweredAmongAFloodOfReports) {
  add("press-7");
  const std::string id = command("press-7");
  std::vector<DeviceMessage> flood;
  for (int i = 0; i < 3000; ++i) flood.push_back({"devices/press-7/twin/reported", fmt::format(R"({{"n":{}}})", i)});
  flood[1500] = {"devices/press-7/commands/ack", fmt::format(R"({{"id":"{}","state":"done"}})", id)};
  EXPECT_TRUE(take(flood));
  EXPECT_EQ(state_of("press-7", id), "done");
  EXPECT_EQ(store_.twin("press-7")->reported, R"({"n":2999})");
  EXPECT_EQ(store_.twin("press-7")->reported_version, 1) << "what came together is written once";
}

TEST_F(AtTheClerk, AListThatCouldNotBeWrittenIsTriedAgain) {
  const std::string folder = authority_folder(path_);
  ASSERT_TRUE(Authority::make(folder, "Plant", 3650, clock_.wall(), false));
  const std::string list = folder + "/ca.crl";
  add("press-7");
  clerk_->refresh();
  std::filesystem::remove(list);
  int told = 0;
  {
    const base::test::FullDisk full(16);
    clerk_->on_identities([&](const auto&) { ++told; });
  }
  EXPECT_EQ(told, 1) << "the broker knows its users all the same";
  EXPECT_FALSE(std::filesystem::exists(list));
  clock_.advance(2min);
  // Twins that change all the time must not put it off.
  ASSERT_TRUE(store_.set_desired("press-7", "{}", std::nullopt, by()));
  clerk_->refresh();
  EXPECT_TRUE(std::filesystem::is_regular_file(list));
  EXPECT_EQ(told, 2) << "the broker reads it when it is told";
  clock_.advance(2min);
  clerk_->refresh();
  EXPECT_EQ(told, 2);
}

// The store's thread has as much to do as it may have.
TEST_F(AtTheClerk, WhatTheStoreCannotTakeIsGivenAgain) {
  add("press-7");
  const std::string id = command("press-7");
  const std::vector<DeviceMessage> answer{
      {"devices/press-7/commands/ack", fmt::format(R"({{"id":"{}","state":"failed","result":3}})", id)}};
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  const auto wait = [gone](store::DeviceStore&) { return gone.wait(), 0; };
  while (clerk_->ask(loop_, wait, [](int) {})) {
  }
  EXPECT_FALSE(take(answer));
  go.set_value();
  while (!take(answer)) std::this_thread::yield();
  EXPECT_EQ(state_of("press-7", id), "failed");
  EXPECT_TRUE(take(answer)) << "the same once more";
}

TEST_F(AtTheClerk, RubbishIsCountedAndHoldsNothingUp) {
  add("press-7");
  EXPECT_TRUE(take({{"devices/press-7/commands/ack", "{"},
                    {"devices/press-7/commands/ack", R"({"id":"nobody's","state":"done"})"},
                    {"devices/press-7/twin/reported", "[1]"},
                    {"devices/press-7/twin/reported", std::string(kMessageBytesMax + 1, ' ')},
                    {"devices/press-7/other", "{}"},
                    {"devices/stranger/twin/reported", "{}"},
                    {"devices", "{}"},
                    {"devices/press-7/twin/reported", R"({"fine":true})"}}));
  EXPECT_EQ(clerk_->registry().standing("press-7")->malformed, 4U);
  EXPECT_EQ(store_.twin("press-7")->reported, R"({"fine":true})");
}

TEST_F(AtTheClerk, RubbishIsCountedOnceHoweverOftenTheStoreIsAsked) {
  add("press-7");
  add("press-9");
  auto database = store::Database::open(path_ + "/penstock.db", {"", "", "", "", ""});
  ASSERT_TRUE(database && database->execute("CREATE TRIGGER no_room BEFORE INSERT ON device_twins BEGIN "
                                            "SELECT RAISE(FAIL, 'no room'); END"));
  const std::vector<DeviceMessage> burst{{"devices/press-7/twin/reported", "[1]"},
                                         {"devices/press-9/twin/reported", "{}"}};
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(take(burst));
  ASSERT_TRUE(database->execute("DROP TRIGGER no_room"));
  EXPECT_TRUE(take(burst));
  EXPECT_EQ(clerk_->registry().standing("press-7")->malformed, 1U);
}

TEST_F(AtTheClerk, ADeviceThatSleepsIsToldOnce) {
  add("press-7");
  listen();
  command("press-7");
  catch_up();
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].good_for, 1h) << "the broker drops it when it has expired";
  EXPECT_FALSE(told_[0].retained);
  for (int i = 0; i < 5; ++i) {
    clock_.advance(60s);
    touch("press-7");
  }
  EXPECT_EQ(told_.size(), 1U) << "the broker has it";
  listen();
  EXPECT_EQ(told_.size(), 1U) << "nor with another connection";
  open();
  listen();
  EXPECT_EQ(told_.size(), 1U) << "nor after a restart";
}

TEST_F(AtTheClerk, WhatNoBrokerHasIsToldAgain) {
  add("press-7");
  broker_takes_ = false;
  listen();
  command("press-7");
  catch_up();
  ASSERT_GE(told_.size(), 1U);
  open();
  told_.clear();
  broker_takes_ = true;
  listen();
  EXPECT_EQ(told_.size(), 1U) << "after a restart, too";
  catch_up();
  listen();
  EXPECT_EQ(told_.size(), 1U) << "now it has it";
}

TEST_F(AtTheClerk, ADeviceThatSpeaksAndDoesNotAnswerIsToldAgain) {
  add("press-7");
  listen();
  const std::string id = command("press-7");
  catch_up();
  clock_.advance(60s);
  clerk_->registry().set_time(clock_.wall());
  clerk_->registry().note_seen("press-7");
  touch("press-7");
  EXPECT_EQ(told_.size(), 1U) << "it has only just spoken: its answer may be on the way";
  clock_.advance(31s);
  touch("press-7");
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told_[1].payload, told_[0].payload) << "by its id the device knows it";
  clock_.advance(31s);
  touch("press-7");
  EXPECT_EQ(told_.size(), 2U) << "silent since";
  EXPECT_TRUE(take({{"devices/press-7/commands/ack", fmt::format(R"({{"id":"{}"}})", id)}}));
  clerk_->registry().set_time(clock_.wall());
  clerk_->registry().note_seen("press-7");
  clock_.advance(120s);
  touch("press-7");
  EXPECT_EQ(told_.size(), 2U);
}

}  // namespace
}  // namespace penstock::device
