#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/oip.h"
#include "json/value.h"

namespace penstock::infer::oip {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

ModelInfo digits() {
  return {.platform = "onnxruntime_onnx",
          .inputs = {{"image", Datatype::fp32, {-1, 3, 8}}},
          .outputs = {{"label", Datatype::bytes, {-1}}}};
}

TEST(EncodeConfig, KeepsWholeShapesWithoutBatching) {
  ModelConfig config;
  config.name = "digits";
  std::string body = encode_config(config, digits());
  ASSERT_TRUE(json::parse(body)) << body;
  EXPECT_THAT(body, HasSubstr(R"("name":"digits","platform":"onnxruntime_onnx","backend":"onnxruntime")"));
  EXPECT_THAT(body, HasSubstr(R"("version_policy":{"latest":{"num_versions":1}},"max_batch_size":0)"));
  EXPECT_THAT(body, HasSubstr(R"("name":"image","data_type":"TYPE_FP32","dims":[-1,3,8])"));
  EXPECT_THAT(body, HasSubstr(R"("name":"label","data_type":"TYPE_STRING","dims":[-1])"));
  EXPECT_THAT(body, HasSubstr(R"("kind":"KIND_CPU","count":1)"));
  EXPECT_THAT(body, Not(HasSubstr("dynamic_batching")));
}

TEST(EncodeConfig, TellsWhatIsBatched) {
  ModelConfig config;
  config.name = "digits";
  config.serve = ModelConfig::Serve::listed;
  config.versions = {2, 5};
  config.batch = {.max = 32, .wait = 2ms, .preferred = {8, 16}};
  config.queue = {.max = 64, .priorities = 3, .default_priority = 2, .timeout = 5s, .delay = true};
  config.instances = {.min = 1, .max = 4};
  config.runtime.accelerators = {"openvino", "cuda", "cpu"};
  config.runtime.threads = 3;
  config.traffic.labels = {{"stable", 2}};
  config.residence.tags = {{"line", "press"}};
  std::string body = encode_config(config, digits());
  EXPECT_THAT(body, HasSubstr(R"("version_policy":{"specific":{"versions":[2,5]}},"max_batch_size":32)"));
  EXPECT_THAT(body, HasSubstr(R"("dims":[3,8])"));
  EXPECT_THAT(body, HasSubstr(R"("data_type":"TYPE_STRING","dims":[])"));
  EXPECT_THAT(body,
              HasSubstr(R"("dynamic_batching":{"preferred_batch_size":[8,16],"max_queue_delay_microseconds":2000,)"
                        R"("preserve_ordering":false,"priority_levels":3,"default_priority_level":2,)"
                        R"("default_queue_policy":{"timeout_action":"DELAY","default_timeout_microseconds":5000000,)"
                        R"("allow_timeout_override":true,"max_queue_size":64})"));
  EXPECT_THAT(body, HasSubstr(R"("kind":"KIND_CPU","count":4)"));
  EXPECT_THAT(body, HasSubstr(R"("gpu_execution_accelerator":[{"name":"cuda")"));
  EXPECT_THAT(body, HasSubstr(R"("cpu_execution_accelerator":[{"name":"openvino")"));
  EXPECT_THAT(body, HasSubstr(R"("metric_tags":{"line":"press"})"));
  EXPECT_THAT(body, HasSubstr(R"("intra_op_thread_count":{"string_value":"3"})"));
  EXPECT_THAT(body, HasSubstr(R"("label.stable":{"string_value":"2"})"));
}

TEST(EncodeConfig, BatchesNothingThatHasNoRows) {
  ModelConfig config;
  config.batch.max = 8;
  ModelInfo info = digits();
  EXPECT_TRUE(batches(config, info));
  info.outputs.front().shape = {1};
  EXPECT_FALSE(batches(config, info));
  EXPECT_THAT(encode_config(config, info), HasSubstr(R"("max_batch_size":0)"));
  config.serve = ModelConfig::Serve::all;
  EXPECT_THAT(encode_config(config, info), HasSubstr(R"("version_policy":{"all":{}})"));
}

}  // namespace
}  // namespace penstock::infer::oip
