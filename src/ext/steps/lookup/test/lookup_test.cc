#include "ext/steps/lookup/lookup.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "ext/steps/lookup/lookup_table.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;
using ingest::Value;

class LookupTest : public testing::Test {
 protected:
  LookupTest() { std::filesystem::create_directories(folder_); }
  ~LookupTest() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  const std::string folder_ = testing::TempDir() + "/lookup-" + std::to_string(getpid());
};

TEST_F(LookupTest, AddsTheRowOfAFile) {
  const std::string csv = file("m.csv", "device,line,limit [degC],extra\npress-1,A,80,x\npress-2,B,90.5,y\n");
  StepHarness harness(make_lookup, "{ file: " + csv + ", add: [line, \"lim*\"] }");
  harness.push(sample_at(0, "x", 1.0, "press-2"));
  harness.push(sample_at(0, "x", 1.0, "press-3"));
  ASSERT_EQ(harness.out.size(), 2U) << harness.report;
  EXPECT_EQ(harness.out[0].find("line")->value, Value(std::string("B")));
  EXPECT_EQ(number(harness.out[0], "limit"), 90.5);
  EXPECT_EQ(harness.out[0].find("limit")->unit, "degC");
  EXPECT_EQ(harness.out[0].find("extra"), nullptr);
  EXPECT_EQ(harness.out[1].fields.size(), 1U);
}

TEST_F(LookupTest, KeysMayBeNumbersAndGoToTags) {
  const std::string json = file("m.json", R"([{"id":7,"line":"A"},{"id":"8","line":"B"}])");
  StepHarness harness(make_lookup, "{ file: " + json + ", key: id, by: machine, to: tags, missing: drop }");
  harness.push(sample_at(0, "machine", std::string("7")));
  harness.push(sample_at(0, "machine", std::int64_t{8}));
  harness.push(sample_at(0, "machine", 9.0));
  harness.push(sample_at(0, "other", 9.0));
  ASSERT_EQ(harness.out.size(), 2U) << harness.report;
  EXPECT_THAT(harness.out[0].tags, testing::ElementsAre(testing::Pair("line", "A")));
  EXPECT_THAT(harness.out[1].tags, testing::ElementsAre(testing::Pair("line", "B")));
  EXPECT_EQ(harness.dropped, 2U);
}

TEST_F(LookupTest, ATableMayStandInTheConfiguration) {
  StepHarness harness(make_lookup, "{ table: { d: { line: A, limit: 80, on: true } }, missing: dead_letter }");
  harness.push(sample_at(0, "x", 1.0));
  harness.push(sample_at(0, "x", 1.0, "other"));
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(number(harness.out[0], "limit"), 80);
  EXPECT_EQ(harness.out[0].find("on")->value, Value(true));
  EXPECT_THAT(harness.errors, testing::ElementsAre("lookup: the table has no 'other'"));
}

TEST_F(LookupTest, TakesAChangedFileAndKeepsTheOldOneWhenItIsBroken) {
  const std::string csv = file("m.csv", "device,line\nd,A\n");
  StepHarness harness(make_lookup, "{ file: " + csv + " }");
  base::WallMicros now = sample_at(0, "x", 1.0).ingest_time;
  const auto line_after = [&](const std::string& wanted) {
    for (int i = 0; i < 500; ++i) {
      harness.tick(now += 6'000'000);
      harness.push(sample_at(0, "x", 1.0));
      const std::string line = std::get<std::string>(harness.out.back().find("line")->value);
      if (line == wanted) return line;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return std::string("never");
  };
  EXPECT_EQ(line_after("A"), "A");
  file("m.csv", "device,line\nd,Better\n");
  EXPECT_EQ(line_after("Better"), "Better");
  file("m.csv", "device,line\nd,\"no end\n");
  std::filesystem::remove(csv);
  EXPECT_EQ(line_after("Better"), "Better");
}

TEST_F(LookupTest, SaysWhatIsWrong) {
  const auto report = [](const std::string& yaml) { return StepHarness(make_lookup, yaml).report; };
  EXPECT_THAT(report("{ }"), testing::HasSubstr("needs one of"));
  EXPECT_THAT(report("{ file: /nowhere/m.csv }"), testing::HasSubstr("cannot be opened"));
  EXPECT_THAT(report("{ file: " + file("a.csv", "device,line\nd,A\nd,B\n") + " }"), testing::HasSubstr("twice"));
  EXPECT_THAT(report("{ file: " + file("b.csv", "line\nA\n") + " }"), testing::HasSubstr("row 1 has no 'device'"));
  EXPECT_THAT(report("{ file: " + file("c.csv", "device,a\nd\n") + " }"), testing::HasSubstr("line 2: 1 cells"));
}

TEST_F(LookupTest, PlansWhatItAdds) {
  StepHarness harness(make_lookup, "{ table: { d: { line: A } }, add: [line, limit] }");
  const auto plan = harness.step->plan({});
  EXPECT_TRUE(plan.out.fields.contains("line"));
  ASSERT_EQ(plan.problems.size(), 1U);
  EXPECT_THAT(plan.problems[0], testing::HasSubstr("no field 'limit'"));
}

}  // namespace
}  // namespace penstock::ext::steps
