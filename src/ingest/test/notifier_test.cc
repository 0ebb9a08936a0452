#include "ingest/notifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

struct Posts : public HttpPort {
  void post(rt::Loop&, HttpPost request, std::function<void(Result<int>)> done) override {
    bodies.push_back(request.body);
    done(status);
  }
  std::vector<std::string> bodies;
  Result<int> status = 200;
};

struct Memory : public StatePort {
  std::optional<std::string> get(const std::string& key) const override {
    auto found = values.find(key);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  }
  void put(std::string key, std::string value, Kept = {}) override { values[std::move(key)] = std::move(value); }
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

class NotifierTest : public testing::Test {
 protected:
  Notifier::Noted noted() {
    return [this](const Notice& notice, const std::string& target, std::string_view what, const std::string& why) {
      became.push_back(fmt::format("{} {} {}", target, notice.alarm.device, what));
      whys.push_back(why);
    };
  }
  // The process ends, however it does, and another one begins.
  void restart() {
    running->stop();
    run();
    running.emplace(loop, &posts, clock, &memory, noted());
  }
  void read(const std::string& yaml) {
    auto document = config::Document::parse("alarms: " + yaml + "\n", "test.yaml");
    ASSERT_TRUE(document) << document.error().detail;
    config::Map root = document->root().map();
    AlarmConfig config = read_alarm_config(root.get("alarms"));
    report = document->report();
    running->stage(config);
    running->apply(config);
    run();
  }
  void tell(const std::string& device, const std::string& severity = "warning") {
    Notice notice{.id = "1", .event = "raised", .at = clock.wall()};
    notice.alarm.device = device;
    notice.alarm.severity = severity;
    running->tell({"shift", "shift", "nobody"}, notice);
    run();
  }
  void run() {
    for (int i = 0; i < 5; ++i) {
      loop.post([this] { loop.stop(); });
      loop.run();
    }
  }
  std::vector<std::string> devices() {
    std::vector<std::string> found;
    for (const std::string& body : posts.bodies)
      found.emplace_back(json::string_or(*json::find(*json::parse(body), "alarm"), "device", ""));
    return found;
  }

  base::FakeClock clock;
  rt::Loop loop;
  Posts posts;
  Memory memory;
  std::vector<std::string> became, whys;
  std::optional<Notifier> running{std::in_place, loop, &posts, clock, &memory, noted()};
  std::string report;
};

TEST_F(NotifierTest, TellsOnceInOrder) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  EXPECT_THAT(running->targets(), ElementsAre("shift"));
  tell("a");
  tell("b");
  EXPECT_THAT(devices(), ElementsAre("a", "b"));
  EXPECT_EQ(running->status()[0].delivered, 2U);
}

TEST_F(NotifierTest, KeepsWhatIsNotTakenAndDropsWhatNeverWillBe) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  posts.status = 503;
  tell("a");
  tell("b");
  EXPECT_THAT(devices(), ElementsAre("a"));
  EXPECT_EQ(running->status()[0].waiting, 2U);
  EXPECT_THAT(running->status()[0].trouble, HasSubstr("503"));
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");  // written as before: goes on waiting
  EXPECT_EQ(running->status()[0].waiting, 2U);
  EXPECT_THAT(became, ElementsAre("shift a delayed"));
  // Another address: what waits goes there.
  posts.status = 404;
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/b\" } } }");
  EXPECT_EQ(running->status()[0].dropped, 2U);
  EXPECT_EQ(running->status()[0].waiting, 0U);
  EXPECT_THAT(became, ElementsAre("shift a delayed", "shift a not_told", "shift b not_told"));
  EXPECT_THAT(whys.back(), HasSubstr("404"));
  EXPECT_THAT(memory.values, testing::IsEmpty());
}

TEST_F(NotifierTest, OnlySomeAnswersAreFinal) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  for (int status : {400, 401, 403, 404, 410, 422}) {
    posts.status = status;
    tell("final");
    EXPECT_EQ(running->status()[0].waiting, 0U) << status;
  }
  for (int status : {301, 302, 307, 308, 408, 425, 429, 500, 502, 503}) {
    read("{}");
    became.clear();
    read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
    posts.status = status;
    tell("later");
    EXPECT_EQ(running->status()[0].waiting, 1U) << status;
    EXPECT_THAT(became, ElementsAre("shift later delayed")) << status;
    EXPECT_THAT(running->status()[0].trouble, HasSubstr(std::to_string(status)));
    if (status < 400) EXPECT_THAT(whys.back(), HasSubstr("redirects are not followed"));
  }
}

TEST_F(NotifierTest, WhatWaitsOutlivesTheProcess) {
  const std::string yaml = "{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }";
  read(yaml);
  posts.status = 503;
  tell("a");
  tell("b", "critical");
  restart();
  posts.status = 200;
  read(yaml);
  tell("c");
  EXPECT_THAT(devices(), ElementsAre("a", "a", "b", "c"));
  EXPECT_EQ(posts.bodies[0], posts.bodies[1]) << "the same notice";
  EXPECT_THAT(became, ElementsAre("shift a delayed", "shift a told", "shift b told", "shift c told"));
  EXPECT_THAT(memory.values, testing::IsEmpty());
}

TEST_F(NotifierTest, AClockThatIsSetMakesNoNoticeOld) {
  clock.set_wall(0);
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  posts.status = 503;
  tell("a");
  clock.set_wall(1'800'000'000'000'000);
  posts.status = 200;
  // Another address: what waits goes there at once.
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/b\" } } }");
  EXPECT_THAT(became, ElementsAre("shift a delayed", "shift a told"));
  posts.status = 503;
  tell("b");
  clock.advance(Notifier::kKeepFor + 1s);
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/c\" } } }");
  EXPECT_EQ(became.back(), "shift b not_told");
}

TEST_F(NotifierTest, WhatWaitsForATargetThatIsGoneIsSaid) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  posts.status = 503;
  tell("a");
  read("{}");
  EXPECT_EQ(became.back(), "shift a not_told");
  EXPECT_THAT(memory.values, testing::IsEmpty());
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  tell("b");
  restart();
  read("{}");
  EXPECT_EQ(became.back(), "shift b not_told");
  EXPECT_THAT(whys.back(), HasSubstr("has this target no more"));
  EXPECT_THAT(memory.values, testing::IsEmpty());
}

TEST_F(NotifierTest, AFullQueueKeepsTheCriticalOnes) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  posts.status = fail(Errc::unavailable, "nobody is there");
  tell("first", "info");
  tell("worst", "critical");
  for (std::size_t i = 0; i < Notifier::kWaitingMax; ++i) tell("w", "warning");
  tell("i", "info");
  posts.status = 200;
  EXPECT_EQ(std::count(became.begin(), became.end(), "shift w not_told"), 2);
  EXPECT_EQ(std::count(became.begin(), became.end(), "shift i not_told"), 1);
  EXPECT_EQ(std::count(became.begin(), became.end(), "shift worst not_told"), 0);
}

TEST_F(NotifierTest, ABoundedQueueForgetsTheOldest) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  posts.status = fail(Errc::unavailable, "nobody is there");
  for (std::size_t i = 0; i < Notifier::kWaitingMax + 5; ++i) tell("d");
  EXPECT_EQ(running->status()[0].waiting, Notifier::kWaitingMax);
  EXPECT_EQ(running->status()[0].dropped, 5U);
}

TEST_F(NotifierTest, LeastSeverity) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\", least: warning } } }");
  tell("a", "info");
  tell("b", "critical");
  EXPECT_THAT(devices(), ElementsAre("b"));
}

TEST_F(NotifierTest, RefusesWhatMakesNoSense) {
  for (const auto& [yaml, words] : std::vector<std::pair<std::string, std::string>>{
           {"{ notify: { a: { webhook: ftp://x } } }", "http://host/path"},
           {"{ notify: { a: { webhook: \"http://u:p@x/\" } } }", "no credentials"},
           {"{ notify: { a: { mqtt: \"mqtt://h\", topic: a/# } } }", "no + and no #"},
           {"{ notify: { a: { smtp: \"http://h\", from: a@b, to: a@b } } }", "smtp://host:587"},
           {"{ notify: { a: { smtp: \"smtp://h\", from: \"a@b>\", to: a@b } } }", "no mail address"},
           {"{ notify: { a: { webhook: \"http://x\", mqtt: \"mqtt://x\" } } }", "in one way"},
           {"{ flod: { most: 3 } }", "did you mean 'flood'"}}) {
    read(yaml);
    EXPECT_THAT(report, HasSubstr(words)) << yaml;
  }
}

}  // namespace
}  // namespace penstock::ingest
