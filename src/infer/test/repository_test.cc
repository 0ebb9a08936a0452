#include "infer/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/document.h"
#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

using testing::ElementsAre;

using ::testing::HasSubstr;
using Serve = ModelConfig::Serve;

// The version that would answer, or why there is none.
std::string version_of(const Repository& repository, std::string_view model, std::string_view version = {}) {
  auto served = repository.find(model, version);
  return served ? (*served)->version : served.error().detail;
}

TEST(ModelConfig, ReadsWhatIsWrittenAndReportsTheRest) {
  auto document = config::Document::parse(
      "a: { path: m/a }\n"
      "b: { path: m/b, serve: [3, 1], instances: 2 }\n"
      "c: { path: m/c, serve: newest, batch: { max: 4 }, instance: 1 }\n",
      "test.yaml");
  ASSERT_TRUE(document);
  config::Map root = document->root().map();
  std::vector<ModelConfig> models;
  for (auto& [name, node] : root.entries()) {
    config::Map map = node.map();
    models.push_back(parse_model(map, name));
    map.done();
  }
  EXPECT_EQ(models[0].path, "m/a");
  EXPECT_EQ(models[0].serve, Serve::latest);
  EXPECT_EQ(models[1].serve, Serve::listed);
  EXPECT_THAT(models[1].versions, ElementsAre(1, 3));
  EXPECT_EQ(models[1].instances, (InstanceConfig{.min = 2, .max = 2}));
  EXPECT_EQ(models[2].batch.max, 4U);
  EXPECT_EQ(document->report(),
            "test.yaml:3:24: c.serve: 'newest' is not latest, all or a list of versions such as [1, 3]\n"
            "test.yaml:3:51: unknown key 'instance' in c; did you mean 'instances'?");
}

TEST(Repository, ServesTheLatestVersionByNumber) {
  FakeHome home;
  home.write("m/2/model.txt", "double");
  home.write("m/10/model.txt", "half");
  home.write("m/notes/model.txt", "ignored");
  home.write("m/007/model.txt", "ignored");
  Repository repository(home.registry);
  repository.apply({home.model("m")});
  EXPECT_EQ(version_of(repository, "m"), "10");
  EXPECT_EQ(home.loads, 1);
  EXPECT_THAT(version_of(repository, "m", "2"), HasSubstr("no version '2'"));
  EXPECT_TRUE(repository.ready());
}

TEST(Repository, ServesAllOrListedVersions) {
  FakeHome home;
  for (const char* version : {"1", "2", "3"}) home.write(std::string("m/") + version + "/model.txt", "double");
  home.write("n/1/model.txt", "double");
  Repository repository(home.registry);
  ModelConfig listed = home.model("n", Serve::listed);
  listed.versions = {1, 4};
  repository.apply({home.model("m", Serve::all), listed});
  EXPECT_EQ(repository.ready_versions("m"), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(version_of(repository, "m"), "3");
  EXPECT_EQ(version_of(repository, "n"), "1");
  EXPECT_THAT(version_of(repository, "n", "4"), HasSubstr("there is no version 4"));
}

TEST(Repository, TakesADirectoryThatHoldsTheFileAsVersionOne) {
  FakeHome home;
  home.write("m/model.txt", "double");
  Repository repository(home.registry);
  ModelConfig file = home.model("file");
  file.path = (home.root / "m/model.txt").string();
  repository.apply({home.model("m"), file});
  EXPECT_EQ(version_of(repository, "m"), "1");
  EXPECT_EQ(version_of(repository, "file"), "1");
}

TEST(Repository, ABrokenModelLeavesTheOthersAlone) {
  FakeHome home;
  home.write("good/1/model.txt", "double");
  home.write("broken/1/model.txt", "garbage");
  home.write("empty/1/other.txt", "double");
  std::filesystem::create_directories(home.root / "bare");
  Repository repository(home.registry);
  repository.apply(
      {home.model("good"), home.model("broken"), home.model("empty"), home.model("bare"), home.model("absent")});
  EXPECT_EQ(version_of(repository, "good"), "1");
  EXPECT_THAT(version_of(repository, "broken"), HasSubstr("not a usable model"));
  EXPECT_THAT(version_of(repository, "empty"), HasSubstr("no model.txt in"));
  EXPECT_THAT(version_of(repository, "bare"), HasSubstr("no numbered version directory"));
  EXPECT_THAT(version_of(repository, "absent"), HasSubstr("no such directory"));
  EXPECT_EQ(repository.find("absent", "").error().code, Errc::unavailable);
  EXPECT_EQ(repository.find("unknown", "").error().code, Errc::not_found);
  EXPECT_FALSE(repository.ready());
  auto status = repository.status();
  ASSERT_EQ(status.size(), 5U);
  EXPECT_EQ(status[0].name, "absent");
  EXPECT_FALSE(status[0].versions.at(0).reason.empty());
}

TEST(Repository, FallsBackToTheHighestVersionThatLoads) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  home.write("m/2/model.txt", "garbage");
  Repository repository(home.registry);
  repository.apply({home.model("m")});
  EXPECT_EQ(version_of(repository, "m"), "1");
  EXPECT_THAT(version_of(repository, "m", "2"), HasSubstr("not a usable model"));
}

TEST(Repository, ReloadTakesWhatChangedAndKeepsWhatDidNot) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry);
  repository.apply({home.model("m")});
  auto first = repository.find("m", "").value();
  repository.apply({home.model("m")});
  EXPECT_EQ(repository.find("m", "").value(), first);
  EXPECT_EQ(home.loads, 1);
  home.write("m/2/model.txt", "half");
  repository.apply({home.model("m")});
  EXPECT_EQ(version_of(repository, "m"), "2");
  repository.apply({});
  EXPECT_EQ(repository.find("m", "").error().code, Errc::not_found);
}

TEST(Repository, ReloadKeepsTheLoadedVersionWhenItsReplacementIsBroken) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry);
  repository.apply({home.model("m")});
  auto first = repository.find("m", "").value();
  home.write("m/1/model.txt", "garbage instead");
  repository.apply({home.model("m")});
  EXPECT_EQ(repository.find("m", "").value(), first);
  EXPECT_THAT(repository.status().at(0).versions.at(0).reason, HasSubstr("not a usable model"));
  std::filesystem::remove_all(home.root / "m");
  repository.apply({home.model("m")});
  EXPECT_EQ(repository.find("m", "").value(), first);
  EXPECT_THAT(repository.status().at(0).versions.at(0).reason, HasSubstr("still serving what was loaded before"));
}

TEST(Repository, UnloadsAndLoadsOnRequest) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry);
  repository.apply({home.model("m")});
  ASSERT_TRUE(repository.unload("m", {}));
  EXPECT_THAT(version_of(repository, "m"), HasSubstr("unloaded on request"));
  EXPECT_TRUE(repository.ready());
  ASSERT_TRUE(repository.load({.name = "m", .config = {}, .files = {}, .by = {}}));
  EXPECT_EQ(version_of(repository, "m"), "1");
  EXPECT_EQ(repository.load({.name = "x", .config = {}, .files = {}, .by = {}}).error().code, Errc::not_found);
  EXPECT_EQ(repository.unload("x", {}).error().code, Errc::not_found);
  home.write("m/1/model.txt", "garbage");
  ASSERT_TRUE(repository.unload("m", {}));
  auto failed = repository.load({.name = "m", .config = {}, .files = {}, .by = {}});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().detail, HasSubstr("not a usable model"));
}

}  // namespace
}  // namespace penstock::infer
