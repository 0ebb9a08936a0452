#include "ext/steps/filter/filter.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::sample_at;
using ingest::StepHarness;

TEST(Filter, PassesOnlyWhatMeetsTheCondition) {
  StepHarness harness(make_filter, "\"temp > 80 and device == 'd'\"");
  harness.push(sample_at(0, "temp", 79.0));
  harness.push(sample_at(1, "temp", 81.0));
  harness.push(sample_at(2, "temp", 81.0, "other"));
  harness.push(sample_at(3, "other", 81.0));
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(ingest::number(harness.out[0], "temp"), 81.0);
}

TEST(Filter, RefusesWhatIsNoCondition) {
  StepHarness harness(make_filter, "\"temp + 1\"");
  EXPECT_EQ(harness.step, nullptr);
  EXPECT_THAT(harness.report,
              testing::HasSubstr("test.yaml:1:7: step: in the expression \"temp + 1\", column 6: this gives"));
}

}  // namespace
}  // namespace penstock::ext::steps
