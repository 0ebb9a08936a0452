#include "infer/triton_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/proto_text.h"

namespace penstock::infer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Optimize = RuntimeOptions::Optimize;
using namespace std::chrono_literals;

ModelConfig read(std::string_view text) {
  auto config = parse_triton_text(text, "m", "m/config.pbtxt");
  EXPECT_TRUE(config.has_value()) << (config ? "" : config.error().detail);
  return config ? *config : ModelConfig();
}

std::string refusal(std::string_view text) {
  auto config = parse_triton_text(text, "m", "config.pbtxt");
  return config ? "taken" : config.error().detail;
}

TEST(ProtoText, ReadsWhatTheSpecificationAllows) {
  auto fields = parse_proto_text(
      "a: 1, b: -  # sign apart\n 2.5e+3; c: 'it''s' \"\\x41\\102\\n\\u00e9\"\n"
      "d { e: [1, 0x1F] } d < e: true > f: [ { g: x } ] [x.y/z.T] { } h: []",
      "t");
  ASSERT_TRUE(fields) << fields.error().detail;
  ASSERT_EQ(fields->size(), 7U);
  EXPECT_EQ((*fields)[1].text, "-2.5e+3");
  EXPECT_EQ((*fields)[2].text, "itsAB\n\xC3\xA9");
  EXPECT_EQ((*fields)[3].fields.at(1).text, "0x1F");
  EXPECT_EQ((*fields)[4].fields.at(0).text, "true");
  EXPECT_EQ((*fields)[5].fields.at(0).name, "g");
  EXPECT_EQ((*fields)[6].name, "[x.y/z.T]");
}

TEST(ProtoText, NamesThePlaceOfAMistake) {
  auto wrong = [](std::string_view text) {
    auto fields = parse_proto_text(text, "f");
    return fields ? std::string("taken") : fields.error().detail;
  };
  EXPECT_EQ(wrong("a: 1\nb 2"), "f:2:3: expected ':' after 'b'");
  EXPECT_EQ(wrong("a {\n b: 1"), "f:2:6: the message ends without '}'");
  EXPECT_EQ(wrong("a: 'x"), "f:1:6: the string does not end on its line");
  EXPECT_EQ(wrong("a: [1 2]"), "f:1:7: expected ',' or ']'");
  EXPECT_EQ(wrong("a: '\\q'"), "f:1:7: unknown escape '\\q'");
  EXPECT_EQ(wrong("a: \"\\ud800\""), "f:1:11: the escape stands for no character");
  EXPECT_EQ(wrong("a: -x"), "f:1:6: '-x' is no number");
  EXPECT_THAT(wrong("a:"), HasSubstr("expected a value"));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "a{";
  EXPECT_THAT(wrong(deep), HasSubstr("nested too deeply"));
}

TEST(TritonConfig, MapsWhatHasACounterpart) {
  ModelConfig config = read(R"(
    name: "m" backend: "onnxruntime" max_batch_size: 16
    input [ { name: "x" data_type: TYPE_FP32 dims: [ 3, -1 ] } ]
    output { name: "y" data_type: TYPE_STRING dims: 1 }
    dynamic_batching {
      preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 200
      priority_levels: 3 default_priority_level: 2
      default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5000 allow_timeout_override: true
                             max_queue_size: 32 }
    }
    instance_group [ { kind: KIND_CPU count: 2 }, { count: 1 } ]
    version_policy: { specific: { versions: [ 3, 1, 3 ] } }
    optimization { graph { level: 1 }
                   execution_accelerators { cpu_execution_accelerator : [ { name : "openvino" } ] } }
    parameters { key: "intra_op_thread_count" value { string_value: "2" } }
    parameters { key: "memory.enable_memory_arena_shrinkage" value { string_value: "cpu:0" } }
    metric_tags { key: "line" value: "press-3" }
    model_warmup [ { name: "w" batch_size: 8 count: 2
                     inputs { key: "x" value { data_type: TYPE_FP32 dims: [3, 4] zero_data: true } } } ]
  )");
  EXPECT_EQ(config.batch, (BatchConfig{.max = 16, .wait = 200us, .preferred = {4, 8}}));
  EXPECT_EQ(
      config.queue,
      (QueueConfig{
          .max = 32, .priorities = 3, .default_priority = 2, .timeout = 5ms, .delay = true, .allow_timeout = true}));
  EXPECT_EQ(config.instances, (InstanceConfig{.min = 3, .max = 3}));
  EXPECT_EQ(config.serve, ModelConfig::Serve::listed);
  EXPECT_THAT(config.versions, ElementsAre(1, 3));
  EXPECT_EQ(config.runtime.optimize, Optimize::extended);
  EXPECT_THAT(config.runtime.accelerators, ElementsAre("openvino"));
  EXPECT_EQ(config.runtime.threads, 2U);
  EXPECT_TRUE(config.runtime.shrink);
  EXPECT_THAT(config.inputs, ElementsAre(TensorSpec{"x", Datatype::fp32, {-1, 3, -1}}));
  EXPECT_THAT(config.outputs, ElementsAre(TensorSpec{"y", Datatype::bytes, {-1, 1}}));
  EXPECT_EQ(config.residence.tags.at("line"), "press-3");
  EXPECT_EQ(config.residence.warm_up, (WarmUpConfig{.rows = {8}, .count = 2}));
  EXPECT_THAT(config.unmapped, IsEmpty());
  EXPECT_THAT(config.given, UnorderedElementsAre("batch", "queue", "instances", "serve", "optimize", "accelerators",
                                                 "threads", "memory", "inputs", "outputs", "tags", "warmup"));
}

TEST(TritonConfig, WithoutBatchDimensionShapesStayAsTheyAre) {
  ModelConfig config = read("max_batch_size: 0 input { name: 'x' data_type: TYPE_INT64 dims: [2] }");
  EXPECT_EQ(config.batch.max, 1U);
  EXPECT_THAT(config.inputs.at(0).shape, ElementsAre(2));
  config = read("version_policy { latest { num_versions: 2 } }");
  EXPECT_EQ(config.latest, 2U);
  EXPECT_EQ(read("version_policy { all { } }").serve, ModelConfig::Serve::all);
}

TEST(TritonConfig, NamesWhatHasNoCounterpart) {
  ModelConfig config = read(R"(
    name: "other" platform: "tensorrt_plan" response_cache { enable: true } sequence_batching { whatever: 1 }
    dynamic_batching { preserve_ordering: true priority_queue_policy { key: 1 value { } } }
    instance_group { gpus: [0] } optimization { cuda { graphs: true } }
    parameters { key: "cudnn_conv_algo_search" value { string_value: "1" } }
    input { name: "x" data_type: TYPE_FP32 dims: [4] reshape { shape: [2, 2] } format: FORMAT_NHWC }
    model_warmup { inputs { key: "x" value { random_data: true } } })");
  EXPECT_THAT(config.unmapped, ElementsAre("name other (it is served under another)",
                                           "platform tensorrt_plan (the model file decides what runs it)",
                                           "response_cache", "sequence_batching", "dynamic_batching.preserve_ordering",
                                           "dynamic_batching.priority_queue_policy", "instance_group.gpus",
                                           "optimization.cuda", "parameters.cudnn_conv_algo_search",
                                           "input.reshape (tensors are taken in the model's own shape)", "input.format",
                                           "model_warmup.inputs (warm-up runs on zeros)"));
  EXPECT_THAT(config.inputs.at(0).shape, ElementsAre(2, 2));
}

TEST(TritonConfig, RefusesWhatIsWrong) {
  EXPECT_EQ(refusal("max_batchsize: 1"),
            "config.pbtxt:1:1: max_batchsize: unknown field; did you mean 'max_batch_size'?");
  EXPECT_EQ(refusal("max_batch_size: x\ndynamic_batching { preferred_batch_size: 4 }"),
            "config.pbtxt:1:1: max_batch_size: expected a whole number\n"
            "config.pbtxt:2:20: dynamic_batching.preferred_batch_size: needs a max_batch_size");
  EXPECT_THAT(refusal("max_batch_size: 99999999999999999999"), HasSubstr("expected a whole number"));
  EXPECT_THAT(refusal("max_batch_size: -1"), HasSubstr("-1 is out of range"));
  EXPECT_THAT(refusal("input { name: 'x' data_type: FP32 }"), HasSubstr("'FP32' is no datatype such as TYPE_FP32"));
  EXPECT_THAT(refusal("dynamic_batching: 3"), HasSubstr("expected a message"));
}

TEST(TritonConfig, ReadsItsJsonToo) {
  auto config = parse_triton_json(
      R"({"maxBatchSize": 8, "dynamic_batching": {"preferred_batch_size": [4], "max_queue_delay_microseconds": "150"},
          "versionPolicy": {"all": {}}, "parameters": {"intra_op_thread_count": {"string_value": "4"}},
          "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["3"]}], "responseCache": null})",
      "m", "config");
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_EQ(config->batch, (BatchConfig{.max = 8, .wait = 150us, .preferred = {4}}));
  EXPECT_EQ(config->serve, ModelConfig::Serve::all);
  EXPECT_EQ(config->runtime.threads, 4U);
  EXPECT_THAT(config->inputs.at(0).shape, ElementsAre(-1, 3));
  EXPECT_FALSE(parse_triton_json("[]", "m", "config"));
  EXPECT_FALSE(parse_triton_json("{\"max_batch_size\": 1.5}", "m", "config"));
}

}  // namespace
}  // namespace penstock::infer
