// Loading on demand, eviction, pins, loads by request, watching, and what is told about it all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "infer/repository.h"
#include "infer/test/fake_runtime.h"
#include "infer/test/fake_traffic.h"

namespace penstock::infer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::size_t kMegabyte = 1 << 20;

class FakeJournal : public Journal {
 public:
  Result<void> append(const ModelEvent& event) override {
    std::lock_guard lock(mutex);
    lines.push_back(fmt::format("{} {} {}->{} by {}", event.action, event.model, event.from, event.to, event.by.actor));
    return {};
  }
  Result<std::vector<ModelEvent>> last(const std::string&, std::size_t) const override {
    return std::vector<ModelEvent>();
  }
  std::vector<std::string> taken() {
    std::lock_guard lock(mutex);
    return std::exchange(lines, {});
  }
  std::mutex mutex;
  std::vector<std::string> lines;
};

struct Home : FakeHome {
  FakeJournal journal;
  std::vector<std::string> warnings;
  rt::Loop loop;

  Repository::Options options(std::uint64_t memory = 0) {
    Repository::Options made;
    made.inference.memory_max = memory;
    made.journal = &journal;
    made.warn = [this](const std::string& model, const std::string& what) { warnings.push_back(model + ": " + what); };
    return made;
  }
  // A model whose file has that many bytes.
  void write_large(const std::string& place, std::string kind, std::size_t bytes = kMegabyte) {
    kind.resize(bytes, '\n');
    write(place, kind);
  }
  ModelConfig on_demand(const std::string& name) {
    ModelConfig config = model(name);
    config.residence.on_demand = true;
    return config;
  }
  // What a request hears that waits for the model; "not waited for" where it does not wait.
  std::string wait_for(Repository& repository, const std::string& name, base::Duration patience = 20s) {
    std::string heard;
    bool waits = repository.when_loaded(loop, {.model = name}, base::system_clock().steady() + patience,
                                        [&](const Result<void>& result) {
                                          heard = result ? "loaded" : result.error().detail;
                                          loop.stop();
                                        });
    if (!waits) return "not waited for";
    loop.run();
    return heard;
  }
};

std::string served(const Repository& repository, const std::string& model, const std::string& version = {}) {
  auto pick = repository.pick({.model = model, .version = version});
  // As the engine does with every request.
  if (pick) pick->served->last_used = base::system_clock().wall();
  return pick ? pick->served->version : pick.error().detail;
}

ModelStatus status_of(const Repository& repository, const std::string& name) {
  for (ModelStatus& status : repository.status()) {
    if (status.name == name) return status;
  }
  return {};
}

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(10ms);
  return condition();
}

TEST(RepositoryDemand, LoadsWithTheFirstRequestAndOnceForAllThatWait) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry, home.options());
  repository.apply({home.on_demand("m")});
  EXPECT_EQ(home.loads, 0);
  EXPECT_TRUE(repository.ready());
  EXPECT_TRUE(status_of(repository, "m").dormant);
  EXPECT_FALSE(status_of(repository, "m").ready);
  EXPECT_THAT(served(repository, "m"), HasSubstr("loaded with the next request"));
  EXPECT_THAT(served(repository, "m", "1"), HasSubstr("loaded with the next request"));
  int heard = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(repository.when_loaded(home.loop, {.model = "m"}, base::system_clock().steady() + 20s,
                                       [&](const Result<void>& result) {
                                         EXPECT_TRUE(result);
                                         if (++heard == 5) home.loop.stop();
                                       }));
  }
  EXPECT_EQ(heard, 0);
  home.loop.run();
  EXPECT_EQ(home.loads, 1);
  EXPECT_EQ(served(repository, "m"), "1");
  EXPECT_THAT(home.journal.taken(), ElementsAre("load m 0->1 by a request"));
  // Loaded in between: it is told so, without another load.
  EXPECT_EQ(home.wait_for(repository, "m"), "loaded");
  EXPECT_EQ(home.loads, 1);
  EXPECT_EQ(home.wait_for(repository, "unknown"), "not waited for");
  ASSERT_TRUE(repository.unload("m", {}));
  EXPECT_EQ(home.wait_for(repository, "m"), "not waited for");
}

TEST(RepositoryDemand, WhoGivesUpLeavesAPlaceForOthers) {
  Home home;
  home.write("m/1/model.txt", "block");
  Repository repository(home.registry, home.options());
  repository.apply({home.on_demand("m")});
  auto now = [] { return base::system_clock().steady(); };
  std::stop_source stop;
  std::size_t late = 0;
  std::size_t cancelled = 0;
  auto heard = [&](const Result<void>& result) {
    ASSERT_FALSE(result);
    late += result.error().code == Errc::deadline_exceeded ? 1 : 0;
    cancelled += result.error().code == Errc::cancelled ? 1 : 0;
    if (late + cancelled == Repository::kWaitersMax) home.loop.stop();
  };
  for (std::size_t i = 0; i < Repository::kWaitersMax; ++i) {
    Request request{.model = "m"};
    if (i % 2 == 0) request.stop = stop.get_token();
    ASSERT_TRUE(repository.when_loaded(home.loop, request, now() + (i % 2 == 0 ? 20s : 10ms), heard));
  }
  stop.request_stop();
  home.loop.run();
  EXPECT_EQ(late, Repository::kWaitersMax / 2);
  EXPECT_EQ(cancelled, Repository::kWaitersMax / 2);
  std::thread opener([&] {
    std::this_thread::sleep_for(50ms);
    home.barrier.open();
  });
  EXPECT_EQ(home.wait_for(repository, "m"), "loaded");
  opener.join();
}

TEST(RepositoryDemand, AFailedLoadIsToldAndNotTriedAgainAtOnce) {
  Home home;
  home.write("m/1/model.txt", "garbage");
  Repository repository(home.registry, home.options());
  repository.apply({home.on_demand("m")});
  EXPECT_THAT(home.wait_for(repository, "m"), HasSubstr("not a usable model"));
  EXPECT_EQ(home.wait_for(repository, "m"), "not waited for");
  EXPECT_THAT(served(repository, "m"), HasSubstr("not a usable model"));
  EXPECT_EQ(home.loads, 1);
  EXPECT_FALSE(repository.ready());
  EXPECT_THAT(home.journal.taken(), ElementsAre("fail m 0->1 by a request"));
  // Mended, and the pause is over.
  home.write("m/1/model.txt", "double");
  std::string heard;
  EXPECT_TRUE(eventually([&] { return (heard = home.wait_for(repository, "m")) != "not waited for"; }));
  EXPECT_EQ(heard, "loaded");
  EXPECT_TRUE(repository.ready());
}

TEST(RepositoryDemand, TheDeadlinePassesWhileAnotherModelLoads) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository::Options options = home.options();
  std::atomic<bool> open{false};
  options.files.open_file = [&](const ModelConfig&, const InferenceConfig&,
                                const std::string& path) -> Result<ModelFile> {
    while (!open.load()) std::this_thread::sleep_for(1ms);
    return ModelFile{.path = path};
  };
  Repository repository(home.registry, options);
  repository.apply({home.on_demand("m")});
  EXPECT_THAT(home.wait_for(repository, "m", 20ms), HasSubstr("still being loaded"));
  EXPECT_EQ(status_of(repository, "m").versions.at(0).state, VersionState::loading);
  open = true;
  EXPECT_EQ(home.wait_for(repository, "m"), "loaded");
  EXPECT_EQ(home.loads, 1);
}

TEST(RepositoryMemory, TheLeastRecentlyUsedMakesRoomAndComesBack) {
  Home home;
  for (const char* name : {"a", "b", "c"}) home.write_large(std::string(name) + "/1/model.txt", "double");
  Repository repository(home.registry, home.options(2 * kMegabyte + kMegabyte / 2));
  repository.apply({home.model("a"), home.model("b"), home.on_demand("c")});
  EXPECT_EQ(served(repository, "b"), "1");
  std::this_thread::sleep_for(2ms);
  EXPECT_EQ(served(repository, "a"), "1");
  home.journal.taken();
  EXPECT_EQ(home.wait_for(repository, "c"), "loaded");
  EXPECT_THAT(home.journal.taken(), ElementsAre("evict b 1->0 by memory budget", "load c 0->1 by a request"));
  EXPECT_THAT(served(repository, "b"), HasSubstr("evicted to make room for 'c'"));
  EXPECT_TRUE(status_of(repository, "b").dormant);
  EXPECT_TRUE(repository.ready());
  EXPECT_GE(status_of(repository, "c").versions.at(0).memory_bytes, kMegabyte);
  std::this_thread::sleep_for(2ms);
  EXPECT_EQ(served(repository, "c"), "1");
  EXPECT_EQ(home.wait_for(repository, "b"), "loaded");
  EXPECT_THAT(home.journal.taken(), ElementsAre("evict a 1->0 by memory budget", "load b 0->1 by a request"));
  // A reload does not bring back what was evicted.
  repository.apply({home.model("a"), home.model("b"), home.on_demand("c")});
  EXPECT_TRUE(status_of(repository, "a").dormant);
}

TEST(RepositoryMemory, PinnedBusyAndJustLoadedModelsStay) {
  Home home;
  for (const char* name : {"pinned", "busy", "fresh", "late"})
    home.write_large(std::string(name) + "/1/model.txt", "double");
  Repository repository(home.registry, home.options(3 * kMegabyte + kMegabyte / 2));
  ModelConfig pinned = home.model("pinned");
  pinned.residence.pin = true;
  repository.apply({pinned, home.model("busy"), home.model("fresh"), home.on_demand("late")});
  served(repository, "pinned");
  auto run = repository.pick({.model = "busy"})->served;
  std::string refusal = home.wait_for(repository, "late");
  EXPECT_THAT(refusal, HasSubstr("the model needs 1MiB, and 3MiB of the 3584KiB of inference.memory are used"));
  EXPECT_THAT(home.journal.taken(), testing::Contains("fail late 0->1 by a request"));
  // An explicit load does not wait for the pause.
  ASSERT_TRUE(repository.pin("pinned", false, {"operator ann", ""}));
  EXPECT_FALSE(status_of(repository, "pinned").pinned);
  ASSERT_TRUE(repository.load({.name = "late", .by = {"operator ann", ""}}));
  EXPECT_THAT(home.journal.taken(),
              ElementsAre("unpin pinned 0->0 by operator ann", "evict pinned 1->0 by memory budget",
                          "load late 0->1 by operator ann"));
  EXPECT_EQ(served(repository, "busy"), "1");
  EXPECT_EQ(served(repository, "fresh"), "1");
}

TEST(RepositoryMemory, AModelThatNeverFitsIsRefusedWithSizes) {
  Home home;
  home.write_large("m/1/model.txt", "double", 3 * kMegabyte);
  home.write_large("n/1/model.txt", "double");
  Repository repository(home.registry, home.options(2 * kMegabyte));
  repository.apply({home.model("n"), home.model("m")});
  EXPECT_THAT(served(repository, "m"), HasSubstr("needs 3MiB"));
  EXPECT_FALSE(repository.ready());
  Repository::Options options = home.options();
  options.inference.file_bytes_max = 2 * kMegabyte;
  Repository small(home.registry, options);
  small.apply({home.model("m")});
  EXPECT_THAT(served(small, "m"), HasSubstr("is 3MiB, more than inference.file_max allows (2MiB)"));
}

TEST(RepositoryUnload, FinishesWhatRunsAndThenEndsTheModel) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry, home.options());
  repository.apply({home.model("m")});
  auto run = repository.pick({.model = "m"})->served;
  std::weak_ptr<const Model> model = run->model;
  ASSERT_TRUE(repository.unload("m", {"operator ann", "maintenance"}));
  EXPECT_EQ(status_of(repository, "m").versions.at(0).state, VersionState::unloading);
  EXPECT_FALSE(model.expired());
  run.reset();
  EXPECT_TRUE(eventually([&] { return model.expired(); }));
  EXPECT_EQ(status_of(repository, "m").versions.at(0).state, VersionState::unavailable);
  EXPECT_THAT(home.journal.taken(), ElementsAre("load m 0->1 by configuration", "unload m 1->0 by operator ann"));
  ASSERT_TRUE(repository.load({.name = "m"}));
  EXPECT_EQ(status_of(repository, "m").versions.at(0).state, VersionState::ready);
}

TEST(RepositoryRequest, LoadsWhatCameWithItAndGoesBackToTheDisk) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry, home.options());
  repository.apply({home.model("m")});
  auto load = [&](std::string config, std::map<std::string, std::string> files) {
    auto done = repository.load({.name = "m", .config = std::move(config), .files = std::move(files)});
    return done ? std::string("loaded") : done.error().detail;
  };
  EXPECT_EQ(load("{}", {{"7/model.txt", "half"}}), "loaded");
  EXPECT_EQ(served(repository, "m"), "7");
  EXPECT_TRUE(status_of(repository, "m").by_request);
  EXPECT_EQ(load("{}", {{"8/model.txt", "garbage"}}).substr(0, 51),
            "model 'm' was not changed, version 7 still serves: ");
  EXPECT_EQ(served(repository, "m"), "7");
  // A reload of the gateway's file keeps it.
  repository.apply({home.model("m")});
  EXPECT_EQ(served(repository, "m"), "7");
  EXPECT_EQ(load(R"({"max_batch_size": 8})", {}), "loaded");
  EXPECT_EQ(served(repository, "m"), "1");
  EXPECT_EQ(repository.find("m", "")->get()->config->batch.max, 8U);
  EXPECT_EQ(load("", {}), "loaded");
  EXPECT_EQ(repository.find("m", "")->get()->config->batch.max, 1U);
  EXPECT_FALSE(status_of(repository, "m").by_request);
  EXPECT_THAT(load("", {{"1/model.txt", "half"}}), HasSubstr("need a `config`"));
  EXPECT_THAT(load("{}", {{"../1/model.txt", "half"}}), HasSubstr("is not a file of a version"));
  EXPECT_THAT(load("{}", {{"0/model.txt", "half"}}), HasSubstr("is not a file of a version"));
  EXPECT_THAT(load("{}", {{"2/other.txt", "half"}}), HasSubstr("version 2 in the request has no model file"));
  EXPECT_THAT(load("{\"x\": 1}", {}), HasSubstr("unknown key 'x'"));
  EXPECT_EQ(fs::exists(home.root / "m/7"), false);
}

TEST(RepositoryRequest, OneThatFailsLeavesNothingBehind) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository::Options options = home.options();
  std::vector<Journal*> journals;
  options.make_traffic = [&](const ModelConfig&, Journal* journal) {
    journals.push_back(journal);
    return std::make_shared<FakeTraffic>();
  };
  Repository repository(home.registry, options);
  ModelConfig config = home.model("m");
  config.traffic.labels = {{"proven", 1}};
  repository.apply({config});
  auto traffic = repository.traffic("m");
  auto load = [&](const std::string& kind) {
    return repository.load(
        {.name = "m", .config = R"({"labels": {"other": 3}, "batch": {"max": 4}})", .files = {{"3/model.txt", kind}}});
  };
  ASSERT_FALSE(load("garbage"));
  ModelStatus status = status_of(repository, "m");
  EXPECT_FALSE(status.by_request);
  EXPECT_EQ(status.config->batch.max, 1U);
  EXPECT_EQ(status.config->traffic.labels, config.traffic.labels);
  EXPECT_EQ(repository.traffic("m"), traffic);
  EXPECT_EQ(served(repository, "m"), "1");
  ASSERT_EQ(status.versions.size(), 1U);
  EXPECT_THAT(status.versions[0].reason, HasSubstr("not a usable model"));
  EXPECT_THAT(journals, ElementsAre(&home.journal, nullptr)) << "what may be refused is not remembered";
  ASSERT_TRUE(load("half"));
  EXPECT_EQ(served(repository, "m"), "3");
  EXPECT_EQ(journals.back(), &home.journal);
  // Unloaded, it stays so.
  ASSERT_TRUE(repository.unload("m", {}));
  ASSERT_FALSE(load("garbage"));
  EXPECT_TRUE(status_of(repository, "m").unloaded);
}

TEST(RepositoryRequest, WhatOthersDoDoesNotUndoIt) {
  Home home;
  home.write("m/1/model.txt", "double");
  home.write("lazy/1/model.txt", "double");
  Repository repository(home.registry, home.options());
  repository.apply({home.model("m"), home.on_demand("lazy")});
  ASSERT_TRUE(repository.load({.name = "m", .config = "{}", .files = {{"7/model.txt", "half"}}}));
  ASSERT_TRUE(repository.refresh("m", {"pull", ""}));
  EXPECT_EQ(served(repository, "m"), "7");
  ASSERT_TRUE(repository.refresh("lazy", {"pull", ""}));
  EXPECT_TRUE(status_of(repository, "lazy").dormant);
  ASSERT_TRUE(repository.unload("m", {}));
  ASSERT_TRUE(repository.refresh("m", {"pull", ""}));
  repository.apply({home.model("m"), home.on_demand("lazy")});
  EXPECT_TRUE(status_of(repository, "m").unloaded);
  ModelConfig changed = home.model("m");
  changed.residence.owner = "me";
  repository.apply({changed, home.on_demand("lazy")});
  EXPECT_EQ(served(repository, "m"), "1");
  EXPECT_EQ(repository.refresh("x", {}).error().code, Errc::not_found);
  home.write("m/2/model.txt", "double");
  ASSERT_TRUE(repository.refresh("m", {"pull", ""}));
  EXPECT_EQ(served(repository, "m"), "2");
}

TEST(RepositoryRequest, UnsignedFilesAreRefusedWhereSignaturesAreRequired) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository::Options options = home.options();
  options.inference.require_signature = true;
  Repository repository(home.registry, options);
  repository.apply({home.model("m")});
  auto done = repository.load({.name = "m", .config = "{}", .files = {{"1/model.txt", "half"}}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::permission_denied);
}

TEST(RepositoryVersions, LatestWithANumberAndWhatTrafficWants) {
  Home home;
  for (const char* version : {"1", "2", "3", "4"}) home.write(fmt::format("m/{}/model.txt", version), "double");
  home.write("m/4/model.txt", "garbage");
  Repository repository(home.registry, home.options());
  ModelConfig config = home.model("m");
  config.latest = 2;
  config.traffic.labels = {{"proven", 1}, {"gone", 9}};
  repository.apply({config});
  EXPECT_THAT(repository.ready_versions("m"), ElementsAre("1", "2", "3"));
  EXPECT_EQ(served(repository, "m"), "3");
  EXPECT_EQ(served(repository, "m", "proven"), "1");
  EXPECT_THAT(served(repository, "m", "gone"), HasSubstr("there is no version 9"));
  EXPECT_THAT(served(repository, "m", "unknown"), HasSubstr("no version 'unknown'"));
  ModelStatus status = status_of(repository, "m");
  EXPECT_THAT(status.versions.at(0).labels, ElementsAre("proven"));
  EXPECT_TRUE(status.versions.at(2).is_default);
}

TEST(RepositoryVersions, TrafficIsMadeOnceAndChoosesAmongWhatIsReady) {
  struct Halves : FakeTraffic {
    Choice choose(std::string_view sticky, std::span<const std::int64_t> ready) override {
      return {.version = sticky.empty() ? ready.front() : ready.back(), .fallback = 1, .shadow = 9};
    }
    std::vector<std::int64_t> wanted() const override { return {1, 2}; }
  };
  Home home;
  for (const char* version : {"1", "2"}) home.write(fmt::format("m/{}/model.txt", version), "double");
  Repository::Options options = home.options();
  int made = 0;
  options.make_traffic = [&](const ModelConfig&, Journal*) {
    ++made;
    return std::make_shared<Halves>();
  };
  Repository repository(home.registry, options);
  ModelConfig config = home.model("m");
  repository.apply({config});
  config.residence.owner = "me";
  repository.apply({config});
  EXPECT_EQ(made, 1);
  EXPECT_EQ(home.loads, 2);
  auto pick = repository.pick({.model = "m", .sticky = "ann"});
  EXPECT_EQ(pick->served->number, 2);
  EXPECT_EQ(pick->fallback->number, 1);
  EXPECT_EQ(pick->shadow, nullptr);
  EXPECT_EQ(repository.pick({.model = "m"})->served->number, 1);
  config.traffic.labels["x"] = 1;
  repository.apply({config});
  EXPECT_EQ(made, 2);
}

TEST(RepositoryVersions, AChangeOfServiceKeepsTheSession) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry, home.options());
  ModelConfig config = home.model("m");
  repository.apply({config});
  auto before = repository.find("m", "").value();
  config.batch.max = 8;
  repository.apply({config});
  auto after = repository.find("m", "").value();
  EXPECT_NE(before, after);
  EXPECT_EQ(before->model, after->model);
  EXPECT_EQ(after->config->batch.max, 8U);
  EXPECT_EQ(home.loads, 1);
  config.runtime.threads = 2;
  repository.apply({config});
  EXPECT_EQ(home.loads, 2);
}

TEST(RepositoryChecks, DeclaredTensorsAndWarmUpDecide) {
  Home home;
  home.write("m/1/model.txt", "double");
  home.write("f/1/model.txt", "fail");
  Repository repository(home.registry, home.options());
  auto declare = [&](const std::string& yaml) {
    home.write("m/model.yaml", yaml);
    Repository fresh(home.registry, home.options());
    fresh.apply({home.model("m")});
    return served(fresh, "m");
  };
  EXPECT_EQ(declare("inputs: [{ name: x, datatype: FP32, shape: [-1, 2] }]"), "1");
  EXPECT_EQ(declare("inputs: [{ name: x, datatype: FP32, shape: [4, 2] }]"), "1");
  EXPECT_EQ(declare("outputs: [{ name: z, datatype: INT64, shape: [1] }]"), "1");
  EXPECT_THAT(declare("inputs: [{ name: x, datatype: FP32, shape: [-1, -1] }]"),
              HasSubstr("the input 'x' is declared as FP32 [-1,-1], but the model's is FP32 [-1,2]"));
  EXPECT_THAT(declare("inputs: [{ name: w, datatype: FP32, shape: [-1, 2] }]"),
              HasSubstr("the input 'w' is declared, but the model has x"));
  EXPECT_THAT(declare("outputs: [{ name: y, datatype: INT8, shape: [-1, 2] }]"), HasSubstr("declared as INT8"));
  EXPECT_THAT(declare("nonsense: 1"), HasSubstr("model.yaml:1:1: unknown key 'nonsense'"));
  repository.apply({home.model("f")});
  EXPECT_EQ(served(repository, "f"), "1");
  home.write("f/model.yaml", "warmup: { rows: [8] }");
  Repository strict(home.registry, home.options());
  strict.apply({home.model("f")});
  EXPECT_THAT(served(strict, "f"), HasSubstr("the warm-up with 8 rows failed: the model could not run"));
}

TEST(RepositoryChecks, ABadModelYamlKeepsTheOldVersion) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry, home.options());
  repository.apply({home.model("m")});
  auto first = repository.find("m", "").value();
  home.write("m/model.yaml", "serve: newest");
  home.write("m/2/model.txt", "half");
  repository.apply({home.model("m")});
  EXPECT_EQ(repository.find("m", "").value(), first);
  EXPECT_THAT(status_of(repository, "m").reason, HasSubstr("model.yaml:1:8"));
}

TEST(RepositoryChecks, WhatHasNoCounterpartIsSaidOnce) {
  Home home;
  home.write("m/1/model.txt", "double");
  home.write("m/config.pbtxt", "response_cache { enable: true }");
  Repository repository(home.registry, home.options());
  repository.apply({home.model("m")});
  repository.apply({home.model("m")});
  EXPECT_EQ(served(repository, "m"), "1");
  EXPECT_THAT(home.warnings, ElementsAre("m: config.pbtxt: there is no counterpart here for response_cache"));
}

TEST(RepositoryFiles, AFileThatIsBeingWrittenIsNotTaken) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository::Options options = home.options();
  bool grow = true;
  options.files.open_file = [&](const ModelConfig&, const InferenceConfig&,
                                const std::string& path) -> Result<ModelFile> {
    if (grow) std::ofstream(path, std::ios::app) << "\n";
    return ModelFile{.path = path};
  };
  Repository repository(home.registry, options);
  repository.apply({home.model("m")});
  EXPECT_THAT(served(repository, "m"), HasSubstr("is still being written"));
  grow = false;
  repository.apply({home.model("m")});
  EXPECT_EQ(served(repository, "m"), "1");
}

TEST(RepositoryFiles, SymbolicLinksAreFollowedAndNoticedWhenSwapped) {
  Home home;
  home.write("store/a/model.txt", "double");
  home.write("store/b/model.txt", "half..");
  home.write("store/b/model.txt", "half");
  fs::create_directories(home.root / "m");
  fs::create_directory_symlink(home.root / "store/a", home.root / "m/1");
  Repository repository(home.registry, home.options());
  repository.apply({home.model("m")});
  auto first = repository.find("m", "").value();
  fs::remove(home.root / "m/1");
  fs::create_directory_symlink(home.root / "store/b", home.root / "m/1");
  repository.apply({home.model("m")});
  EXPECT_NE(repository.find("m", "").value(), first);
  // A link to nowhere is no version.
  fs::create_directory_symlink(home.root / "nowhere", home.root / "m/2");
  repository.apply({home.model("m")});
  EXPECT_EQ(served(repository, "m"), "1");
}

TEST(RepositoryFiles, HooksSeeEveryFile) {
  Home home;
  home.write("m/1/model.txt", "sealed");
  Repository::Options options = home.options();
  options.fetch = [&](const ModelConfig&, const InferenceConfig&) -> Result<void> {
    return fail(Errc::unavailable, "the server is away");
  };
  options.files.open_file = [](const ModelConfig&, const InferenceConfig&,
                               const std::string& path) -> Result<ModelFile> {
    return ModelFile{.path = path, .bytes = std::make_shared<const std::string>("half")};
  };
  options.files.open_given = [](const ModelConfig&, const InferenceConfig&, std::int64_t version,
                                const GivenFiles& files, const std::string& name) -> Result<ModelFile> {
    if (version != 1 || !files.contains("manifest.json")) return fail(Errc::permission_denied, "not signed");
    return ModelFile{.path = name, .bytes = files.at(name)};
  };
  Repository repository(home.registry, options);
  repository.apply({home.model("m")});
  EXPECT_EQ(served(repository, "m"), "1");
  EXPECT_THAT(status_of(repository, "m").reason, HasSubstr("the server is away"));
  auto done = repository.load({.name = "m", .config = "{}", .files = {{"1/model.txt", "double"}}});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().detail, HasSubstr("not signed"));
  EXPECT_TRUE(
      repository.load({.name = "m", .config = "{}", .files = {{"1/model.txt", "double"}, {"1/manifest.json", "{}"}}}));
}

TEST(RepositoryWatch, TakesANewVersionWhenItStandsStill) {
  Home home;
  home.write("m/1/model.txt", "double");
  Repository::Options options = home.options();
  options.inference.watch = 20ms;
  Repository repository(home.registry, options);
  repository.apply({home.model("m")});
  EXPECT_EQ(served(repository, "m"), "1");
  home.write("m/2/model.txt", "half");
  EXPECT_TRUE(eventually([&] { return served(repository, "m") == "2"; }));
  home.write("m/3/model.txt", "garbage");
  EXPECT_TRUE(eventually([&] { return !status_of(repository, "m").versions.back().reason.empty(); }));
  EXPECT_EQ(served(repository, "m"), "2");
  int loads = home.loads;
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(home.loads, loads);
  options.inference.watch = {};
  repository.configure(options.inference);
}

TEST(Published, ReadersSeeOneValueWhileItIsReplaced) {
  Published<std::pair<int, int>> published(std::make_unique<const std::pair<int, int>>(0, 0));
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  std::atomic<int> torn{0};
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        auto now = published.read();
        if (now->first != now->second) ++torn;
      }
    });
  }
  for (int i = 1; i < 2000; ++i) {
    auto old = published.replace(std::make_unique<const std::pair<int, int>>(i, i));
    EXPECT_EQ(old->first, i - 1);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn.load(), 0);
}

}  // namespace
}  // namespace penstock::infer
