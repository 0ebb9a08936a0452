#include "infer/folder_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Folder : FakeHome {
  // The gateway's entry, as its file would have it.
  ModelConfig entry(const std::string& keys) {
    auto document = config::Document::parse(fmt::format("path: {}\n{}", (root / "m").string(), keys), "gateway.yaml");
    config::Map map = document->root().map();
    ModelConfig model = parse_model(map, "m");
    map.done();
    EXPECT_FALSE(document->failed()) << document->report();
    return model;
  }
  std::string refusal(const std::string& yaml) {
    write("m/model.yaml", yaml);
    auto model = with_folder(entry(""));
    return model ? "taken" : model.error().detail;
  }
  std::string place() { return (root / "m/model.yaml").string(); }
};

TEST(FolderConfig, TheGatewaysKeysGoBeforeModelYaml) {
  Folder folder;
  folder.write("m/model.yaml",
               "serve: all\nowner: vision\nbatch: { max: 8 }\nwarmup: { rows: [1, 8], count: 2 }\nweight: 2\n"
               "inputs: [{ name: x, datatype: FP32, shape: [-1, 2] }]\n");
  auto model = with_folder(folder.entry("serve: { latest: 2 }\nbatch: { max: 4 }"));
  ASSERT_TRUE(model) << model.error().detail;
  EXPECT_EQ(model->serve, ModelConfig::Serve::latest);
  EXPECT_EQ(model->latest, 2U);
  EXPECT_EQ(model->batch.max, 4U);
  EXPECT_EQ(model->residence.owner, "vision");
  EXPECT_EQ(model->residence.warm_up, (WarmUpConfig{.rows = {1, 8}, .count = 2}));
  EXPECT_EQ(model->weight, 2);
  EXPECT_THAT(model->inputs, ElementsAre(TensorSpec{"x", Datatype::fp32, {-1, 2}}));
}

TEST(FolderConfig, ModelYamlGoesBeforeConfigPbtxt) {
  Folder folder;
  folder.write("m/config.pbtxt", "max_batch_size: 16");
  EXPECT_EQ(with_folder(folder.entry(""))->batch.max, 16U);
  folder.write("m/model.yaml", "owner: me");
  EXPECT_EQ(with_folder(folder.entry(""))->batch.max, 1U);
}

TEST(FolderConfig, MistakesHaveTheirPlace) {
  Folder folder;
  EXPECT_EQ(folder.refusal("owner: me\nbach: 1\n"), folder.place() + ":2:1: unknown key 'bach'; did you mean 'batch'?");
  EXPECT_THAT(folder.refusal("path: /etc\n"), HasSubstr(":1:7: path: only the gateway's own file can say this"));
  EXPECT_THAT(folder.refusal("signed_by: x\n"), HasSubstr("only the gateway's own file can say this"));
  EXPECT_EQ(folder.refusal("owner: me\ndescription: ${file:/etc/passwd}\n"),
            folder.place() + ":2:14: ${...} can be used in the gateway's own file only");
  EXPECT_THAT(folder.refusal("inputs: [{ name: x, datatype: FLOAT, shape: [1] }]"), HasSubstr("is no datatype"));
  EXPECT_THAT(folder.refusal(std::string(2 << 20, '#')), HasSubstr("larger than 1 MiB"));
  EXPECT_THAT(folder.refusal("{ a: "), HasSubstr(folder.place()));
}

TEST(FolderConfig, ARequestSaysWhatHoldsInstead) {
  Folder folder;
  ModelConfig declared = folder.entry("batch: { max: 4 }\nisolate: true\nmemory: { max: 10MB }");
  auto model = with_request(declared, R"({"batch": {"max": 2}, "isolate": false, "memory": {"max": "1GB"}})");
  ASSERT_TRUE(model) << model.error().detail;
  EXPECT_EQ(model->batch.max, 2U);
  EXPECT_TRUE(model->runtime.isolate);
  EXPECT_EQ(model->runtime.memory_max, declared.runtime.memory_max);
  model = with_request(declared, R"({"max_batch_size": 32})");
  ASSERT_TRUE(model) << model.error().detail;
  EXPECT_EQ(model->batch.max, 32U);
  EXPECT_TRUE(with_request(declared, "{}"));
  for (const char* wrong : {"", "[]", "{", R"({"path": "/etc"})", R"({"owner": "${HOME}"})", R"({"unknown": 1})"})
    EXPECT_FALSE(with_request(declared, wrong)) << wrong;
}

}  // namespace
}  // namespace penstock::infer
