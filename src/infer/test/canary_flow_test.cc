// Canaries as callers meet them: repository, engine and traffic together, asked by several loops at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "infer/engine.h"
#include "infer/test/fake_journal.h"
#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

// Asks one after the other on a loop and thread of its own.
class Caller {
 public:
  Caller(Engine& engine, int count) : engine_(engine), left_(count) {
    loop_.post([this] { ask(); });
    thread_ = std::thread([this] { loop_.run(); });
  }
  void finish() { thread_.join(); }

  std::map<std::string, int> versions;
  std::vector<std::string> failures;

 private:
  void ask() {
    if (left_-- == 0) return loop_.stop();
    Request request;
    request.model = "m";
    request.inputs.push_back(floats("x", {1, 2}, {1, 2}));
    engine_.infer(loop_, std::move(request), base::SteadyTime::max(), [this](Result<Response> answer) {
      if (answer) ++versions[answer->version];
      if (!answer) failures.push_back(answer.error().detail);
      loop_.post([this] { ask(); });
    });
  }

  Engine& engine_;
  int left_;
  rt::Loop loop_;
  std::thread thread_;
};

class CanaryFlow : public testing::Test {
 protected:
  // Versions 1 ("double") and 2 (`second`), which is the canary.
  void start(const std::string& second, const std::string& rules) {
    home_.write("m/1/model.txt", "double");
    home_.write("m/2/model.txt", second);
    CanaryConfig canary;
    canary.version = 2;
    canary.share = 0.5;
    canary.rules = *parse_rules(rules);
    canary.promote_after = std::chrono::milliseconds(1);
    config_ = home_.model("m");
    config_.traffic.canary = canary;
    open();
  }
  void open() {
    engine_.reset();
    repository_ =
        std::make_unique<Repository>(home_.registry, Repository::Options{.inference = {}, .journal = &journal_});
    repository_->apply({config_});
    engine_ = std::make_unique<Engine>(*repository_, Engine::Options{.threads = 2});
  }
  // What `callers` with `calls` each were answered by; none of them may fail.
  std::map<std::string, int> load(int callers, int calls) {
    std::vector<std::unique_ptr<Caller>> all;
    for (int i = 0; i < callers; ++i) all.push_back(std::make_unique<Caller>(*engine_, calls));
    std::map<std::string, int> versions;
    for (auto& caller : all) {
      caller->finish();
      EXPECT_THAT(caller->failures, testing::IsEmpty());
      for (const auto& [version, count] : caller->versions) versions[version] += count;
    }
    return versions;
  }
  CanaryView canary() { return *repository_->traffic("m")->view().canary; }
  // Loads until it is decided.
  void load_until_decided() {
    for (int i = 0; i < 200 && canary().stage == CanaryView::Stage::watching; ++i) load(4, 100);
  }

  FakeHome home_;
  FakeJournal journal_;
  ModelConfig config_;
  std::unique_ptr<Repository> repository_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(CanaryFlow, AFailingCanaryIsRolledBackAndNobodySeesIt) {
  start("fail", "errors > 1%");
  EXPECT_THAT(repository_->ready_versions("m"), testing::ElementsAre("1", "2"));
  load_until_decided();
  EXPECT_EQ(canary().stage, CanaryView::Stage::rolled_back) << canary().words;
  EXPECT_EQ(load(4, 100)["1"], 400);
  open();
  EXPECT_EQ(canary().stage, CanaryView::Stage::rolled_back) << "after a restart";
  EXPECT_EQ(load(4, 100)["1"], 400);
}

TEST_F(CanaryFlow, AGoodCanaryIsPromoted) {
  start("double", "errors > 2% or disagreement > 5%");
  load_until_decided();
  EXPECT_EQ(canary().stage, CanaryView::Stage::promoted) << canary().words;
  EXPECT_EQ(load(4, 100)["2"], 400);
  open();
  EXPECT_EQ(load(4, 100)["2"], 400) << "after a restart";
  ASSERT_TRUE(repository_->traffic("m")->roll_back({.actor = "operator ada", .why = "no"}));
  EXPECT_EQ(load(4, 100)["1"], 400) << "from the command on";
}

TEST_F(CanaryFlow, ACanaryThatAnswersOtherwiseIsRolledBack) {
  start("half", "disagreement > 5%");
  load_until_decided();
  EXPECT_EQ(canary().stage, CanaryView::Stage::rolled_back) << canary().words;
  EXPECT_THAT(canary().words, testing::HasSubstr("answers differed"));
}

}  // namespace
}  // namespace penstock::infer
