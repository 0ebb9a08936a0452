#include "infer/batch_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/model_config.h"

namespace penstock::infer {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Read {
  ModelConfig model;
  std::string report;  // of mistakes
};

Read read(std::string_view keys) {
  auto document = config::Document::parse(fmt::format("{{ path: m, {} }}", keys), "m.yaml");
  EXPECT_TRUE(document);
  config::Map map = document->root().map();
  Read result{parse_model(map, "m"), {}};
  map.done();
  if (document->failed()) result.report = document->report();
  return result;
}

TEST(BatchConfig, ReadsWhatIsGiven) {
  Read all = read(
      "weight: 2.5, instances: { min: 1, max: 4 }, batch: { max: 32, wait: 2ms, preferred: [16, 8] }, "
      "queue: { max: 9, priorities: 3, default_priority: 2, timeout: 5s, on_timeout: delay, allow_timeout: false }");
  EXPECT_EQ(all.report, "");
  EXPECT_EQ(all.model.weight, 2.5);
  EXPECT_EQ(all.model.instances, (InstanceConfig{.min = 1, .max = 4}));
  EXPECT_EQ(all.model.batch.max, 32U);
  EXPECT_EQ(all.model.batch.wait, milliseconds(2));
  EXPECT_THAT(all.model.batch.preferred, ElementsAre(8, 16));
  EXPECT_EQ(all.model.queue.max, 9U);
  EXPECT_EQ(all.model.queue.default_priority, 2U);
  EXPECT_EQ(all.model.queue.timeout, std::chrono::seconds(5));
  EXPECT_TRUE(all.model.queue.delay);
  EXPECT_FALSE(all.model.queue.allow_timeout);
  Read none = read("");
  EXPECT_EQ(none.report, "");
  EXPECT_EQ(none.model.weight, 1);
  EXPECT_EQ(none.model.batch, BatchConfig());
  EXPECT_EQ(none.model.queue, QueueConfig());
  EXPECT_EQ(read("instances: 3").model.instances, (InstanceConfig{.min = 3, .max = 3}));
}

TEST(BatchConfig, SaysWhatDoesNotFitTogether) {
  struct Case {
    const char* keys;
    const char* complaint;
  };
  for (const Case& one : {
           Case{"batch: { wait: 2ms }", "with a `max` of 1"},
           Case{"batch: { max: 1, preferred: [1] }", "with a `max` of 1"},
           Case{"batch: { max: 8, preferred: [4] }", "give `wait`"},
           Case{"batch: { max: 8, wait: 1ms, preferred: [9] }", "more than `max`, 8"},
           Case{"batch: { max: 8, wait: 1h }", "at most 10s"},
           Case{"batch: { max: 0 }", "max"},
           Case{"queue: { priorities: 2, default_priority: 3 }", "default_priority"},
           Case{"queue: { on_timeout: delay, allow_timeout: false }", "nothing can time out"},
           Case{"instances: { min: 3, max: 2 }", "max"},
           Case{"instances: 0", "instances"},
           Case{"weight: 0", "a weight is between"},
           Case{"weight: 1000", "a weight is between"},
           Case{"weight: .nan", "weight"},
       }) {
    Read result = read(one.keys);
    EXPECT_THAT(result.report, HasSubstr(one.complaint)) << one.keys;
    EXPECT_THAT(result.report, HasSubstr("m.yaml:1:")) << one.keys;
  }
}

}  // namespace
}  // namespace penstock::infer
