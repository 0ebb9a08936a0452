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

class NotifierTest : public testing::Test {
 protected:
  void read(const std::string& yaml) {
    auto document = config::Document::parse("alarms: " + yaml + "\n", "test.yaml");
    ASSERT_TRUE(document) << document.error().detail;
    config::Map root = document->root().map();
    AlarmConfig config = read_alarm_config(root.get("alarms"));
    report = document->report();
    notifier.stage(config);
    notifier.apply(config);
  }
  void tell(const std::string& device, const std::string& severity = "warning") {
    Notice notice{.id = "1", .event = "raised", .at = clock.wall()};
    notice.alarm.device = device;
    notice.alarm.severity = severity;
    notifier.tell({"shift", "shift", "nobody"}, notice);
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
  Notifier notifier{loop, &posts, clock};
  std::string report;
};

TEST_F(NotifierTest, TellsOnceInOrder) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  EXPECT_THAT(notifier.targets(), ElementsAre("shift"));
  tell("a");
  tell("b");
  EXPECT_THAT(devices(), ElementsAre("a", "b"));
  EXPECT_EQ(notifier.status()[0].delivered, 2U);
}

TEST_F(NotifierTest, KeepsWhatIsNotTakenAndDropsWhatNeverWillBe) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  posts.status = 503;
  tell("a");
  tell("b");
  EXPECT_THAT(devices(), ElementsAre("a"));
  EXPECT_EQ(notifier.status()[0].waiting, 2U);
  EXPECT_THAT(notifier.status()[0].trouble, HasSubstr("503"));
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");  // written as before: goes on waiting
  EXPECT_EQ(notifier.status()[0].waiting, 2U);
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/b\" } } }");
  EXPECT_EQ(notifier.status()[0].waiting, 0U);
  posts.status = 404;
  tell("c");
  EXPECT_EQ(notifier.status()[0].dropped, 1U);
  EXPECT_EQ(notifier.status()[0].waiting, 0U);
}

TEST_F(NotifierTest, ABoundedQueueForgetsTheOldest) {
  read("{ notify: { shift: { webhook: \"http://127.0.0.1:1/a\" } } }");
  posts.status = fail(Errc::unavailable, "nobody is there");
  for (std::size_t i = 0; i < Notifier::kWaitingMax + 5; ++i) tell("d");
  EXPECT_EQ(notifier.status()[0].waiting, Notifier::kWaitingMax);
  EXPECT_EQ(notifier.status()[0].dropped, 5U);
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
