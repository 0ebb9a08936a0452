#include "app/default_config.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "app/gateway_config.h"

namespace penstock::ext {
void register_all(base::Registry& registry);
}

namespace penstock::app {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Looks around in a folder of its own.
struct DefaultConfig : testing::Test {
  fs::path before = fs::current_path();
  fs::path folder = [] {
    std::string pattern = (fs::temp_directory_path() / "penstock-default-XXXXXX").string();
    return fs::path(::mkdtemp(pattern.data()));
  }();
  DefaultConfig() { fs::current_path(folder); }
  ~DefaultConfig() override {
    fs::current_path(before);
    fs::remove_all(folder);
  }
  static void put(const fs::path& file) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "x";
  }
  GatewayConfig read(const std::string& path) {
    base::Registry registry;
    ext::register_all(registry);
    auto document = config::Document::load(path, [](const std::string& name) -> const char* {
      if (name == "PENSTOCK_FOUND_LLM_TYPE") return "openai";
      if (name == "PENSTOCK_FOUND_LLM_URL") return "http://127.0.0.1:9/v1";
      if (name == "PENSTOCK_FOUND_LLM_MODEL") return "llama3:8b";
      return name == "PENSTOCK_FOUND_LLM_KEY" ? "none" : nullptr;
    });
    EXPECT_TRUE(document.has_value()) << document.error().detail;
    config::Map root = document->root().map();
    GatewayConfig config = read_gateway_config(root, registry);
    EXPECT_THAT(root.keys(), testing::Contains("sources"));
    EXPECT_FALSE(document->failed()) << document->report();
    return config;
  }
};

TEST_F(DefaultConfig, IsAFileThatRuns) {
  auto path = write_default_config("data");
  ASSERT_TRUE(path.has_value()) << path.error().detail;
  EXPECT_EQ(*path, "data/found.yaml");
  GatewayConfig config = read(*path);
  EXPECT_EQ(config.data_dir, "data");
  EXPECT_TRUE(config.guide);
  EXPECT_EQ((*config.llm->find("chat"))->targets[0].model, "llama3:8b");
  EXPECT_TRUE(config.models.empty());
}

TEST_F(DefaultConfig, FindsModelsBesideIt) {
  put("models/b versions/2/model.onnx");
  put("models/a/model.onnx");
  put("models/no model/readme.txt");
  put("models/no version/x/model.onnx");
  put("models/file.onnx");
  GatewayConfig config = read(write_default_config("data").value());
  ASSERT_EQ(config.models.size(), 2U);
  EXPECT_EQ(config.models[0].name, "a");
  EXPECT_EQ(config.models[1].name, "b versions");
  EXPECT_EQ(config.models[1].path, "models/b versions");
}

TEST_F(DefaultConfig, CopesWithAnyName) {
  put("models/chat/model.onnx");
  put("models/a \"quoted\": one # two/model.onnx");
  GatewayConfig config = read(write_default_config("da ta: #1").value());
  EXPECT_EQ(config.data_dir, "da ta: #1");
  ASSERT_EQ(config.models.size(), 1U);
  EXPECT_EQ(config.models[0].name, "a \"quoted\": one # two");
}

TEST_F(DefaultConfig, SaysWhyItCannotBeWritten) {
  put("./data");
  auto path = write_default_config("data");
  ASSERT_FALSE(path.has_value());
  EXPECT_THAT(path.error().detail,
              AllOf(HasSubstr("cannot write 'data/found.yaml'"), HasSubstr("make the data folder 'data'"),
                    HasSubstr("name another one (`data_dir`)")));
}

}  // namespace
}  // namespace penstock::app
