#include "infer/traffic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>

#include "infer/model_config.h"
#include "infer/seq_locked.h"
#include "infer/test/fake_journal.h"
#include "infer/traffic_plan.h"

namespace penstock::infer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using Stage = CanaryView::Stage;

const Wish kAda{.actor = "operator ada", .why = "because"};

class TrafficTest : public testing::Test {
 protected:
  std::shared_ptr<Traffic> make(const std::string& yaml) {
    auto document = config::Document::parse(yaml, "t.yaml");
    config::Map root = document->root().map();
    ModelConfig model;
    model.name = "bearing";
    model.traffic = parse_traffic(root);
    root.done();
    EXPECT_FALSE(document->failed()) << document->report();
    return make_traffic(model, &journal_, clock_);
  }
  // How often each version is chosen of `count` calls without a sticky text.
  static std::map<std::int64_t, int> spread(Traffic& traffic, std::vector<std::int64_t> ready, int count = 20'000) {
    std::map<std::int64_t, int> chosen;
    for (int i = 0; i < count; ++i) ++chosen[traffic.choose("", ready).version];
    return chosen;
  }
  // `count` calls that the canary, version 4, answers.
  void call(Traffic& traffic, int count, bool failed = false, base::Duration total = std::chrono::milliseconds(1)) {
    for (int i = 0; i < count; ++i) {
      clock_.advance(std::chrono::milliseconds(25));
      if (Watcher* watcher = traffic.watcher()) watcher->finished({.version = 4, .failed = failed, .total = total});
    }
  }

  base::FakeClock clock_;
  FakeJournal journal_;
  const std::vector<std::int64_t> ready_{3, 4};
  const std::string canary_ = "canary: { version: 4, share: 20%, rollback_if: \"errors > 1%\", promote_after: 10s }";
};

TEST_F(TrafficTest, WithoutConfigurationTheHighestAnswers) {
  auto traffic = make("labels: {}");
  EXPECT_EQ(traffic->choose("", ready_).version, 4);
  EXPECT_EQ(traffic->usual(ready_), 4);
  EXPECT_EQ(traffic->watcher(), nullptr);
  EXPECT_TRUE(traffic->wanted().empty());
  EXPECT_FALSE(traffic->labelled("stable"));
}

TEST_F(TrafficTest, StableGetsWhatNamesNoVersion) {
  auto traffic = make("labels: { stable: 3, next: 4 }");
  EXPECT_EQ(traffic->choose("", ready_).version, 3);
  EXPECT_EQ(traffic->labelled("next"), 4);
  EXPECT_THAT(traffic->wanted(), ElementsAre(3, 4));
  EXPECT_EQ(traffic->choose("", std::vector<std::int64_t>{2, 4}).version, 4) << "stable is not in service";
}

TEST_F(TrafficTest, SplitsByShareAmongThoseInService) {
  auto traffic = make("split: { 2: 20%, 3: 50%, 4: 30% }");
  auto chosen = spread(*traffic, {2, 3, 4, 5});
  EXPECT_NEAR(chosen[2], 4000, 400);
  EXPECT_NEAR(chosen[3], 10000, 400);
  EXPECT_NEAR(chosen[4], 6000, 400);
  EXPECT_EQ(chosen[5], 0);
  chosen = spread(*traffic, {3, 4});
  EXPECT_NEAR(chosen[3], 12500, 400);
  EXPECT_EQ(spread(*traffic, {7, 9})[9], 20'000) << "none of the split is in service";
  EXPECT_EQ(traffic->usual(std::vector<std::int64_t>{2, 4}), 4);
}

TEST_F(TrafficTest, TheSameTextGetsTheSameVersion) {
  auto traffic = make("split: { 3: 60%, 4: 40% }");
  auto again = make("split: { 3: 60%, 4: 40% }");
  int fours = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string user = fmt::format("user-{}", i);
    std::int64_t version = traffic->choose(user, ready_).version;
    EXPECT_EQ(again->choose(user, ready_).version, version);
    EXPECT_EQ(traffic->choose(user, ready_).version, version);
    fours += version == 4 ? 1 : 0;
  }
  EXPECT_NEAR(fours, 4000, 200);
}

// Other gateways, and this one after a restart, must find the same: these figures never change.
TEST_F(TrafficTest, StickyPlacesAreTheSameEverywhere) {
  EXPECT_NEAR(sticky_place("bearing", "ada"), 0.3115380407677931, 1e-12);
  EXPECT_NEAR(sticky_place("", ""), 0.14838301097631856, 1e-12);
  EXPECT_NE(sticky_place("bearing", "ada"), sticky_place("other", "ada"));
  EXPECT_NE(sticky_place("ab", "c"), sticky_place("a", "bc"));
}

TEST_F(TrafficTest, ACanaryKeepsItsCallersWhenItsShareGrows) {
  auto small = make("canary: { version: 4, share: 10% }");
  auto large = make("canary: { version: 4, share: 30% }");
  int grown = 0;
  for (int i = 0; i < 10'000; ++i) {
    std::string user = std::to_string(i);
    bool before = small->choose(user, ready_).version == 4;
    bool after = large->choose(user, ready_).version == 4;
    EXPECT_TRUE(after || !before);
    grown += after && !before ? 1 : 0;
  }
  EXPECT_NEAR(grown, 2000, 200);
}

TEST_F(TrafficTest, ACanaryHasItsShareAndAFallback) {
  auto traffic = make(canary_);
  EXPECT_NEAR(spread(*traffic, ready_)[4], 4000, 300);
  EXPECT_EQ(traffic->usual(ready_), 3);
  EXPECT_THAT(traffic->wanted(), ElementsAre(4));
  EXPECT_THAT(traffic->trials(), ElementsAre(4));
  EXPECT_EQ(traffic->labelled("canary"), 4);
  for (int i = 0; i < 100; ++i) {
    Choice choice = traffic->choose("", ready_);
    EXPECT_EQ(choice.fallback, choice.version == 4 ? std::optional<std::int64_t>(3) : std::nullopt);
    EXPECT_FALSE(choice.shadow) << "nothing is compared";
  }
  EXPECT_EQ(spread(*traffic, {2, 3}, 100)[3], 100) << "the canary is not in service";
  EXPECT_EQ(spread(*traffic, {4}, 100)[4], 100) << "nothing else is in service";
  EXPECT_FALSE(traffic->choose("", std::vector<std::int64_t>{4}).fallback);
}

TEST_F(TrafficTest, ACanaryStandsBesideASplit) {
  auto traffic = make("{ split: { 2: 50%, 3: 50% }, canary: { version: 4, share: 20% } }");
  auto chosen = spread(*traffic, {2, 3, 4});
  EXPECT_NEAR(chosen[4], 4000, 300);
  EXPECT_NEAR(chosen[2], 8000, 400);
}

TEST_F(TrafficTest, ABadCanaryIsRolledBackAtOnceAndSaysWhy) {
  auto traffic = make(canary_);
  call(*traffic, 50);
  EXPECT_EQ(traffic->view().canary->stage, Stage::watching);
  call(*traffic, 5, true);
  EXPECT_EQ(spread(*traffic, ready_, 1000)[4], 0);
  EXPECT_EQ(traffic->watcher(), nullptr);
  TrafficView view = traffic->view();
  EXPECT_EQ(view.canary->stage, Stage::rolled_back);
  EXPECT_THAT(view.canary->words, HasSubstr("calls failed; the limit is 1 %"));
  ASSERT_EQ(journal_.events.size(), 1U);
  EXPECT_EQ(journal_.events[0].action, "rollback");
  EXPECT_EQ(journal_.events[0].from, 4);
  EXPECT_EQ(journal_.events[0].by.actor, "canary");
  EXPECT_EQ(journal_.events[0].by.why, view.canary->words);
  EXPECT_TRUE(traffic->wanted().empty());
  EXPECT_THAT(traffic->trials(), ElementsAre(4)) << "`serve: latest` must not bring it back";
}

TEST_F(TrafficTest, AGoodCanaryIsPromotedWhenItsTimeHasCome) {
  auto traffic = make(canary_);
  traffic->choose("", ready_);
  call(*traffic, 1000);
  EXPECT_EQ(spread(*traffic, ready_, 100)[4], 100);
  EXPECT_EQ(traffic->view().canary->stage, Stage::promoted);
  EXPECT_EQ(traffic->labelled("stable"), 4);
  ASSERT_EQ(journal_.events.size(), 1U);
  EXPECT_EQ(journal_.events[0].action, "promote");
  EXPECT_EQ(journal_.events[0].to, 4);
  EXPECT_FALSE(traffic->choose("", ready_).fallback);
}

TEST_F(TrafficTest, SlowCallsCountByTheirBound) {
  auto traffic = make("canary: { version: 4, rollback_if: \"p90 > 20ms\" }");
  call(*traffic, 200, false, std::chrono::milliseconds(20));
  EXPECT_EQ(traffic->view().canary->stage, Stage::watching);
  call(*traffic, 200, false, std::chrono::milliseconds(21));
  EXPECT_EQ(traffic->view().canary->stage, Stage::rolled_back);
  EXPECT_THAT(traffic->view().canary->words, HasSubstr("calls took longer than 20ms; the limit is 10 %"));
}

Response answer(float value) {
  Tensor tensor{.name = "y", .datatype = Datatype::fp32, .shape = {1}, .bytes = Buffer(4), .strings = {}};
  tensor.bytes.copy(&value);
  Response response;
  response.outputs.push_back(std::move(tensor));
  return response;
}

TEST_F(TrafficTest, DisagreementIsFoundByRunningBoth) {
  auto traffic = make("canary: { version: 4, share: 50%, rollback_if: \"disagreement > 5%\", promote_after: 1s }");
  int both = 0;
  for (int i = 0; i < 20'000; ++i) {
    Choice choice = traffic->choose("", ready_);
    both += choice.shadow ? 1 : 0;
    if (choice.shadow) EXPECT_EQ(*choice.shadow, 3);
  }
  EXPECT_NEAR(both, 2000, 300) << "a tenth of all calls is run twice";
  Watcher* watcher = traffic->watcher();
  for (int i = 0; i < 500; ++i) {
    // That the old version fails says nothing about the new one.
    watcher->compared(4, answer(1), 3, fail(Errc::internal, "no"));
  }
  EXPECT_EQ(traffic->view().canary->rules[0].count.calls, 0U);
  for (int i = 0; i < 10; ++i) watcher->compared(4, answer(1), 3, answer(1.001F));
  EXPECT_EQ(traffic->view().canary->rules[0].count, (Count{10, 0}));
  for (int i = 0; i < 10; ++i) watcher->compared(4, answer(1), 3, answer(2));
  EXPECT_EQ(traffic->view().canary->stage, Stage::rolled_back);
}

TEST_F(TrafficTest, AShadowIsComparedAndNeverAnswers) {
  auto traffic = make("shadow: { version: 4, share: 25% }");
  int shadowed = 0;
  for (int i = 0; i < 10'000; ++i) {
    Choice choice = traffic->choose("", ready_);
    EXPECT_EQ(choice.version, 3);
    shadowed += choice.shadow ? 1 : 0;
  }
  EXPECT_NEAR(shadowed, 2500, 250);
  EXPECT_THAT(traffic->wanted(), ElementsAre(4));
  ASSERT_NE(traffic->watcher(), nullptr);
  traffic->watcher()->compared(3, answer(1), 4, answer(1));
  traffic->watcher()->compared(3, answer(1), 4, answer(2));
  traffic->watcher()->compared(3, answer(1), 4, fail(Errc::internal, "no"));
  TrafficView view = traffic->view();
  EXPECT_EQ(view.shadow->failed, (Count{3, 1}));
  EXPECT_EQ(view.shadow->differed, (Count{2, 1}));
}

TEST_F(TrafficTest, DecisionsOutliveRestarts) {
  {
    call(*make(canary_), 10, true);
  }
  EXPECT_EQ(make(canary_)->view().canary->stage, Stage::rolled_back);
  EXPECT_EQ(spread(*make(canary_), ready_, 1000)[4], 0);
  EXPECT_THAT(make(canary_)->view().canary->words, HasSubstr("rolled back: "));
  journal_.states.clear();
  {
    call(*make(canary_), 1000);
  }
  EXPECT_EQ(make(canary_)->view().canary->stage, Stage::promoted);
}

TEST_F(TrafficTest, AnotherCanaryBeginsAnew) {
  {
    call(*make(canary_), 10, true);
  }
  auto changed = make("canary: { version: 4, share: 25%, rollback_if: \"errors > 1%\", promote_after: 10s }");
  EXPECT_EQ(changed->view().canary->stage, Stage::watching);
  EXPECT_EQ(changed->view().canary->rules[0].count, Count());
  EXPECT_EQ(make(canary_)->view().canary->stage, Stage::watching) << "the decision is gone with its configuration";
}

TEST_F(TrafficTest, EvidenceOutlivesRestartsToo) {
  {
    auto traffic = make(canary_);
    call(*traffic, 300);
  }
  TrafficView view = make(canary_)->view();
  EXPECT_EQ(view.canary->rules[0].count, (Count{300, 0}));
  EXPECT_GT(view.canary->watched, std::chrono::seconds(5));
}

// What a predecessor still writes while it ends must not undo what was decided since.
TEST_F(TrafficTest, AnOlderProcessDoesNotUndoADecision) {
  auto older = make(canary_);
  call(*older, 3);
  ASSERT_TRUE(make(canary_)->roll_back(kAda));
  older.reset();
  EXPECT_EQ(make(canary_)->view().canary->stage, Stage::rolled_back);
  auto before = make(canary_);
  auto fresh = make("canary: { version: 5 }");
  before.reset();
  EXPECT_EQ(make("canary: { version: 5 }")->view().canary->stage, Stage::watching);
}

TEST_F(TrafficTest, DamagedStateCountsAsNone) {
  for (const char* text : {"{", "[]", "7", R"({"canary":{"of":7}})", R"({"canary":{"stage":"x","counts":[[1]]}})",
                           R"({"split":{"of":"","parts":[[1],["x",2]]},"labels":{"of":"","map":[]}})"}) {
    journal_.states["bearing"] = {.text = text, .serial = 0};
    EXPECT_EQ(make(canary_)->view().canary->stage, Stage::watching) << text;
  }
}

TEST_F(TrafficTest, CommandsPromoteAndRollBackAtOnce) {
  auto traffic = make(canary_);
  ASSERT_TRUE(traffic->promote(0, kAda));
  EXPECT_EQ(spread(*traffic, ready_, 100)[4], 100);
  EXPECT_THAT(traffic->view().canary->words, HasSubstr("promoted by operator ada: because"));
  EXPECT_EQ(traffic->promote(4, kAda).error().code, Errc::failed_precondition);
  ASSERT_TRUE(traffic->roll_back(kAda));
  EXPECT_EQ(spread(*traffic, ready_, 100)[3], 100);
  EXPECT_EQ(traffic->roll_back(kAda).error().code, Errc::failed_precondition);
  EXPECT_EQ(spread(*make(canary_), ready_, 100)[3], 100) << "after a restart";
  ASSERT_EQ(journal_.events.size(), 2U);
  EXPECT_EQ(journal_.events[0].by.actor, "operator ada");
  EXPECT_EQ(journal_.events[0].by.why, "because");
}

TEST_F(TrafficTest, CommandsWorkWithoutACanary) {
  auto traffic = make("labels: {}");
  EXPECT_EQ(traffic->promote(0, kAda).error().code, Errc::failed_precondition);
  EXPECT_EQ(traffic->roll_back(kAda).error().code, Errc::failed_precondition);
  const std::vector<std::int64_t> ready{1, 2, 3};
  ASSERT_TRUE(traffic->promote(1, kAda));
  EXPECT_EQ(traffic->choose("", ready).version, 1);
  ASSERT_TRUE(traffic->promote(2, kAda));
  EXPECT_EQ(make("labels: {}")->choose("", ready).version, 2);
  EXPECT_THAT(traffic->wanted(), ElementsAre(2));
  ASSERT_TRUE(traffic->roll_back(kAda));
  EXPECT_EQ(traffic->choose("", ready).version, 1);
  ASSERT_TRUE(traffic->roll_back(kAda));
  EXPECT_EQ(traffic->choose("", ready).version, 3);
  ASSERT_TRUE(traffic->promote(1, kAda));
  EXPECT_EQ(make("labels: { stable: 2 }")->choose("", ready).version, 2) << "configured since";
}

TEST_F(TrafficTest, AnotherVersionTakesOverFromAPromotedCanary) {
  auto traffic = make(canary_);
  ASSERT_TRUE(traffic->promote(0, kAda));
  ASSERT_TRUE(traffic->promote(3, kAda));
  EXPECT_EQ(spread(*traffic, ready_, 100)[3], 100);
  EXPECT_EQ(traffic->view().canary->stage, Stage::rolled_back);
}

TEST_F(TrafficTest, LabelsAndSplitByCommand) {
  auto traffic = make("labels: { stable: 3 }");
  ASSERT_TRUE(traffic->set_labels(std::map<std::string, std::int64_t>{{"stable", 4}}, kAda));
  EXPECT_EQ(traffic->choose("", ready_).version, 4);
  EXPECT_EQ(journal_.events[0].by.why, "stable: 4; because");
  ASSERT_TRUE(traffic->set_split(std::map<std::int64_t, double>{{3, 0.9}, {4, 0.1}}, kAda));
  EXPECT_NEAR(spread(*traffic, ready_)[4], 2000, 300);
  EXPECT_EQ(journal_.events[0].by.why, "3: 90 %, 4: 10 %; because");
  auto again = make("labels: { stable: 3 }");
  EXPECT_TRUE(again->view().labels_by_command);
  EXPECT_THAT(again->view().split, ElementsAre(Pair(3, 0.9), Pair(4, 0.1)));
  EXPECT_FALSE(make("labels: { stable: 2 }")->view().labels_by_command) << "configured since";
  ASSERT_TRUE(again->set_labels(std::nullopt, kAda));
  ASSERT_TRUE(again->set_split(std::nullopt, kAda));
  EXPECT_EQ(again->choose("", ready_).version, 3);
}

TEST_F(TrafficTest, WhatCannotBeWrittenDownIsInForceAndWrittenLater) {
  auto traffic = make(canary_);
  journal_.broken = "the disk is full";
  call(*traffic, 10, true);
  EXPECT_EQ(spread(*traffic, ready_, 100)[4], 0);
  auto refused = traffic->promote(0, kAda);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("in force"));
  EXPECT_EQ(spread(*traffic, ready_, 100)[4], 100);
  journal_.broken.clear();
  traffic->view();
  EXPECT_EQ(make(canary_)->view().canary->stage, Stage::promoted);
}

// The path of requests counts, and looks at most once in a while, whoever comes.
TEST_F(TrafficTest, RequestsOnlyCount) {
  auto traffic = make(canary_);
  Watcher* watcher = traffic->watcher();
  watcher->finished({.version = 4, .failed = false, .total = {}});  // looks
  for (int i = 0; i < 1000; ++i) watcher->finished({.version = 4, .failed = true, .total = {}});
  EXPECT_EQ(spread(*traffic, ready_, 1000).count(4), 1U) << "not before the next look";
  int writes = journal_.writes;
  clock_.advance(std::chrono::milliseconds(20));
  watcher->finished({.version = 4, .failed = true, .total = {}});
  EXPECT_EQ(spread(*traffic, ready_, 1000).count(4), 0U);
  EXPECT_EQ(journal_.writes, writes + 1);
}

TEST_F(TrafficTest, ManyThreadsLoseNoCall) {
  auto traffic = make("canary: { version: 4, share: 50%, rollback_if: \"errors > 50%\" }");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        Choice choice = traffic->choose("", ready_);
        if (Watcher* watcher = traffic->watcher())
          watcher->finished({.version = choice.version, .failed = i % 100 == 0, .total = {}});
        if (i % 1000 == 0) traffic->view();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CanaryView::Rule rule = traffic->view().canary->rules[0];
  EXPECT_EQ(rule.count.calls + rule.others.calls, 80'000U);
  EXPECT_EQ(rule.count.bad + rule.others.bad, 800U);
}

// If only calls that end counted, a canary that hangs would be faultless.
TEST_F(TrafficTest, ACallThatNeverEndsIsSlow) {
  auto traffic = make("canary: { version: 4, rollback_if: \"p90 > 20ms\", promote_after: 1s }");
  call(*traffic, 1000);
  auto hangs = make("canary: { version: 4, rollback_if: \"p90 > 20ms\" }");
  for (int i = 0; i < 20; ++i) {
    clock_.advance(std::chrono::milliseconds(25));
    if (Watcher* watcher = hangs->watcher()) watcher->began(4, clock_.steady());
  }
  clock_.advance(std::chrono::milliseconds(21));
  EXPECT_EQ(traffic->view().canary->stage, Stage::promoted);
  EXPECT_EQ(hangs->watcher(), nullptr) << "found by the calls that began after it";
  EXPECT_EQ(hangs->view().canary->stage, Stage::rolled_back);
}

TEST_F(TrafficTest, CallsUnderWayCountOnce) {
  auto traffic = make("canary: { version: 4, rollback_if: \"errors > 1% or p90 > 20ms\", promote_after: 1s }");
  Watcher* watcher = traffic->watcher();
  watcher->began(3, clock_.steady());  // the others are not judged
  base::SteadyTime arrived = clock_.steady();
  watcher->began(4, arrived);
  EXPECT_EQ(traffic->view().canary->rules[1].count, Count());
  clock_.advance(std::chrono::seconds(2));
  EXPECT_EQ(traffic->view().canary->rules[0].count, (Count{.calls = 0, .bad = 0, .unclear = 1}));
  EXPECT_EQ(traffic->view().canary->rules[1].count, (Count{.calls = 1, .bad = 1}));
  watcher->ended(4, arrived);
  watcher->finished({.version = 4, .failed = false, .total = std::chrono::seconds(2)});
  EXPECT_EQ(traffic->view().canary->rules[0].count, (Count{.calls = 1, .bad = 0}));
  EXPECT_EQ(traffic->view().canary->rules[1].count, (Count{.calls = 1, .bad = 1}));
}

TEST_F(TrafficTest, CallsWithoutAnEndHoldBackAPromotion) {
  auto traffic = make(canary_);
  for (int i = 0; i < 10; ++i) traffic->watcher()->began(4, clock_.steady());
  call(*traffic, 1000);
  EXPECT_EQ(traffic->view().canary->stage, Stage::watching) << traffic->view().canary->words;
  EXPECT_THAT(traffic->view().canary->words, HasSubstr("of 10 more nobody saw the end"));
}

TEST_F(TrafficTest, CallsThatWereGivenUpCountByTheirTime) {
  auto traffic = make("canary: { version: 4, rollback_if: \"errors > 40% or p60 > 20ms\" }");
  auto give_up = [&](base::Duration after) {
    traffic->watcher()->finished({.version = 4, .given_up = true, .total = after});
  };
  give_up(std::chrono::milliseconds(5));
  EXPECT_EQ(traffic->view().canary->rules[0].count, Count());
  EXPECT_EQ(traffic->view().canary->rules[1].count, Count());
  give_up(std::chrono::seconds(2));
  EXPECT_EQ(traffic->view().canary->rules[0].count, (Count{.calls = 0, .bad = 0, .unclear = 1}));
  EXPECT_EQ(traffic->view().canary->rules[1].count, (Count{.calls = 1, .bad = 1}));
  give_up(std::chrono::seconds(11));
  EXPECT_EQ(traffic->view().canary->rules[0].count, (Count{.calls = 1, .bad = 1, .unclear = 1}));
  traffic.reset();
  traffic = make("canary: { version: 4, rollback_if: \"errors > 40% or p60 > 20ms\" }");
  EXPECT_EQ(traffic->view().canary->rules[0].count, (Count{.calls = 1, .bad = 1, .unclear = 1})) << "kept";
}

// Requests look labels up on their loops.
TEST_F(TrafficTest, NobodyWaitsForTheDisk) {
  auto traffic = make("labels: { stable: 3 }");
  std::promise<void> inside, goes_on;
  journal_.on_flush = [&] {
    inside.set_value();
    goes_on.get_future().wait();
  };
  std::thread command([&] { EXPECT_TRUE(traffic->promote(4, kAda)); });
  inside.get_future().wait();
  EXPECT_EQ(traffic->labelled("stable"), 4);
  EXPECT_THAT(traffic->wanted(), ElementsAre(3, 4));
  EXPECT_EQ(traffic->view().promoted, 4);
  goes_on.set_value();
  command.join();
}

TEST_F(TrafficTest, ARolledBackCanaryDoesNotComeBackWhenTheDecisionCannotBeRead) {
  ASSERT_TRUE(make(canary_)->roll_back(kAda));
  journal_.unreadable = "the disk is broken";
  auto traffic = make(canary_);
  EXPECT_EQ(spread(*traffic, ready_, 1000)[4], 0);
  EXPECT_THAT(traffic->view().canary->words, HasSubstr("the disk is broken"));
  EXPECT_EQ(traffic->promote(0, kAda).error().code, Errc::unavailable);
  EXPECT_EQ(spread(*traffic, ready_, 1000)[4], 0);
  journal_.unreadable.clear();
  EXPECT_EQ(traffic->view().canary->stage, Stage::rolled_back);
  ASSERT_TRUE(traffic->promote(0, kAda));
  EXPECT_EQ(make(canary_)->view().canary->stage, Stage::promoted) << "with a serial that is kept";
}

TEST(SeqLocked, ReadersSeeOneValueWhole) {
  struct Pair {
    std::int64_t one = 0;
    std::int64_t other = 0;
    std::array<std::int64_t, 8> rest{};
  };
  SeqLocked<Pair> published;
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load()) {
      Pair pair = published.read();
      EXPECT_EQ(pair.one, pair.other);
      EXPECT_EQ(pair.rest[7], pair.one);
    }
  });
  for (std::int64_t i = 1; i < 50'000; ++i) published.write({i, i, {i, i, i, i, i, i, i, i}});
  done = true;
  reader.join();
  EXPECT_EQ(published.read().one, 49'999);
}

}  // namespace
}  // namespace penstock::infer
