// Reloads of running pipelines, pipelines that read pipelines, and dead letters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ingest/lane.h"
#include "ingest/sample_json.h"
#include "ingest/succession.h"
#include "rt/test/on_loop.h"

namespace penstock::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct World {
  std::mutex mutex;
  std::map<std::string, Emit> emits;
  std::map<std::string, std::vector<double>> delivered;  // by sink: the values of x
  std::vector<std::string> lines;
  std::vector<std::function<void()>> answers;  // of `ask` steps
  base::WallMicros told = 0;                   // to `watch` steps, before the x that is 3
  bool sinks_wait = false;
  std::vector<std::function<void()>> confirmations;
};

double x_of(const Sample& sample) {
  const Field* x = sample.find("x");
  if (x == nullptr) return -1;
  const auto* integer = std::get_if<std::int64_t>(&x->value);
  return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(x->value);
}

class OpenSource : public Source {
 public:
  OpenSource(std::string name, World& world) : name_(std::move(name)), world_(world) {}
  Result<void> start(rt::Loop&, Emit emit) override {
    world_.emits[name_] = std::move(emit);
    return {};
  }
  void stop() override {}
  Status status() const override { return {}; }
  Shape shape() const override {
    return {.fields = {{"x", {FieldType::Kind::number, "degC"}}, {"name", {FieldType::Kind::text, ""}}},
            .open = false,
            .samples_per_second = 10};
  }

 private:
  std::string name_;
  World& world_;
};

class NoteSink : public Sink {
 public:
  NoteSink(std::string name, World& world) : name_(std::move(name)), world_(world) {}
  Result<void> start(rt::Loop&) override {
    world_.lines.push_back("start " + name_);
    return {};
  }
  void send(Batch batch, std::function<void(Sent)> done) override {
    for (const Sample& sample : *batch) {
      if (x_of(sample) == -13) return done({.outcome = Sent::Outcome::refused, .why = "-13 is refused"});
    }
    for (const Sample& sample : *batch) world_.delivered[name_].push_back(x_of(sample));
    done({});
  }
  void stop() override { world_.lines.push_back("stop " + name_); }
  Status status() const override { return {}; }

 private:
  std::string name_;
  World& world_;
};

// Adds up x and puts the sum into it; a reload goes on with it.
class Sum : public Step {
 public:
  void push(Sample sample, Output& out) override {
    sum_ += x_of(sample);
    sample.set("x", sum_);
    out.emit(std::move(sample));
  }
  void adopt(Step& before) override { sum_ = std::exchange(static_cast<Sum&>(before).sum_, 0); }

 private:
  double sum_ = 0;
};

// Notes what time it was told.
class Watch : public Step {
 public:
  explicit Watch(World& world) : world_(world) {}
  void push(Sample sample, Output& out) override {
    if (x_of(sample) == 3) world_.told = told_;
    out.emit(std::move(sample));
  }
  void tick(base::WallMicros now, Output&) override { told_ = std::max(told_, now); }

 private:
  World& world_;
  base::WallMicros told_ = 0;
};

// Lets a sample on when the test says so.
class Ask : public Step {
 public:
  explicit Ask(World& world) : world_(world) {}
  void push(Sample sample, Output& out) override {
    ++waiting_;
    world_.answers.push_back([this, &out, sample] {
      --waiting_;
      out.emit(sample);
    });
  }
  bool busy() const override { return waiting_ > 0; }

 private:
  World& world_;
  int waiting_ = 0;
};

// Raises the alarm of its name for every sample; fails for x = -7.
class Cry : public Step {
 public:
  Cry(StepContext context, std::string name) : context_(std::move(context)), name_(std::move(name)) {
    context_.alarms->try_emplace(name_);
  }
  void push(Sample sample, Output& out) override {
    if (x_of(sample) == -7) return context_.error("-7 is too little", std::move(sample));
    context_.tell({context_.pipeline, name_, sample.device, true, sample.event_time, "it is", "critical"});
    out.emit(std::move(sample));
  }

 private:
  StepContext context_;
  std::string name_;
};

struct SwapTest : testing::Test {
  SwapTest() : folder(std::filesystem::temp_directory_path() / fmt::format("penstock-swap-{}", getpid())) {
    std::filesystem::create_directories(folder);
    registry.add("open", SourceFactory{[this](const std::string& name, const config::Node&, config::Map&,
                                              const Context&) { return std::make_unique<OpenSource>(name, world); }});
    registry.add("sum", StepFactory{[](const config::Node&, const StepContext&) { return std::make_unique<Sum>(); }});
    registry.add("ask",
                 StepFactory{[this](const config::Node&, const StepContext&) { return std::make_unique<Ask>(world); }});
    registry.add("watch", StepFactory{[this](const config::Node&, const StepContext&) {
                   return std::make_unique<Watch>(world);
                 }});
    registry.add("cry", StepFactory{[](const config::Node& node, const StepContext& context) {
                   return std::make_unique<Cry>(context, node.map().text("name", "cry"));
                 }});
    registry.add("note",
                 SinkFactory{[this](const std::string&, const config::Node& node, config::Map& map, const Context&) {
                   return std::make_unique<NoteSink>(map.text("name", node.raw()), world);
                 }});
    context.registry = &registry;
    context.clock = &clock;
    context.data_dir = folder;
    lane = std::make_unique<Lane>(LaneOptions{context, {&loop}, {}});
    thread = std::thread([this] { loop.run(); });
  }
  ~SwapTest() override {
    stop();
    loop.stop();
    thread.join();
    lane.reset();
    std::filesystem::remove_all(folder);
  }
  void stop() const {
    std::atomic<bool> done = false;
    lane->stop([&] {
      done = true;
      done.notify_all();
    });
    done.wait(false);
  }
  std::string apply(const std::string& pipelines) {
    auto document = config::Document::parse("sources: { a: { open: {} } }\npipelines:\n" + pipelines, "edge.yaml");
    config::Map root = document->root().map();
    Plan plan = lane->plan(root);
    root.done();
    if (document->failed()) return document->report();
    lane->apply(std::move(plan));
    drain();
    return "";
  }
  void on_loop(const std::function<void()>& work) { rt::run_on(loop, work); }
  void drain() {
    for (int i = 0; i < 12; ++i) on_loop([] {});
  }
  static std::vector<Sample> samples(std::initializer_list<int> values) {
    std::vector<Sample> result;
    for (int value : values) {
      Sample& sample = result.emplace_back();
      sample.device = "d";
      sample.set("x", static_cast<double>(value));
    }
    return result;
  }
  void send(std::initializer_list<int> values) {
    on_loop([&] { world.emits.at("a")(samples(values)); });
    drain();
  }
  void answer_all() {
    on_loop([this] {
      for (const auto& answer : std::exchange(world.answers, {})) answer();
    });
    drain();
  }

  World world;
  base::FakeClock clock;
  base::Registry registry;
  Context context;
  std::filesystem::path folder;
  rt::Loop loop;
  std::unique_ptr<Lane> lane;
  std::thread thread;
};

TEST_F(SwapTest, KeepsStateQueueAndSinks) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ sum: {} ], to: [ note: { name: n } ] }\n"), "");
  send({1, 2});
  on_loop([&] {
    std::vector<Sample> burst(300, samples({0})[0]);  // more than one turn: some are in the queue at the reload
    burst.push_back(samples({3})[0]);
    world.emits.at("a")(std::move(burst));
    auto document = config::Document::parse(
        "sources: { a: { open: {} } }\npipelines:\n  p: { from: a, steps: [ cry: {}, sum: {} ], to: [ note: { name: n "
        "} ] }\n",
        "edge.yaml");
    config::Map root = document->root().map();
    lane->apply(lane->plan(root));
    world.emits.at("a")(samples({4}));
  });
  drain();
  send({5});
  const auto& delivered = world.delivered["n"];
  ASSERT_EQ(delivered.size(), 305U);
  EXPECT_EQ(delivered[301], 3);
  EXPECT_EQ(delivered[302], 6);
  EXPECT_EQ(delivered.back(), 15);
  EXPECT_THAT(world.lines, ElementsAre("start n"));
  auto stats = lane->pipeline("p")->stats();
  EXPECT_EQ(stats.in, 305U);
  EXPECT_EQ(stats.out, 305U);
  EXPECT_EQ(stats.queued, 0U);
  auto steps = lane->pipeline("p")->steps();
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_GE(steps[0].in, 3U);
  EXPECT_LT(steps[0].in, 303U);
  EXPECT_EQ(steps[1].in, 305U);  // its figures go on
  EXPECT_EQ(steps[1].out, 305U);
}

TEST_F(SwapTest, WhatWaitsOverAReloadIsNoSilence) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ watch: {} ], to: [ note: { name: n } ] }\n"), "");
  const base::WallMicros start = clock.wall();
  on_loop([&] {
    std::vector<Sample> burst(300, samples({0})[0]);  // more than one turn: some are in the queue at the reload
    burst.push_back(samples({3})[0]);
    world.emits.at("a")(std::move(burst));
    clock.advance(std::chrono::seconds(2));
    auto document = config::Document::parse(
        "sources: { a: { open: {} } }\npipelines:\n  p: { from: a, steps: [ watch: {}, sum: {} ], to: [ note: { name: "
        "n "
        "} ] }\n",
        "edge.yaml");
    config::Map root = document->root().map();
    lane->apply(lane->plan(root));
  });
  drain();
  ASSERT_EQ(world.delivered["n"].size(), 301U);
  EXPECT_EQ(world.told, start);
}

TEST_F(SwapTest, LateAnswersGoOnBehindTheirStep) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ ask: {}, sum: {} ], to: [ note: { name: n } ] }\n"), "");
  send({1, 2});
  ASSERT_EQ(apply("  p: { from: a, steps: [ ask: {}, sum: {}, sum: {} ], to: [ note: { name: n } ] }\n"), "");
  ASSERT_EQ(apply("  p: { from: a, steps: [ ask: {}, sum: {} ], to: [ note: { name: m } ] }\n"), "");
  answer_all();
  EXPECT_THAT(world.delivered["n"], IsEmpty());
  EXPECT_THAT(world.delivered["m"], ElementsAre(1, 3));
  EXPECT_THAT(world.lines, ElementsAre("start n", "stop n", "start m"));
}

TEST_F(SwapTest, AlarmsStandWhileTheirStepDoes) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ cry: { name: one }, cry: { name: two } ] }\n"), "");
  send({1});
  EXPECT_EQ(lane->alarms().active_count(), 2U);
  ASSERT_EQ(apply("  p: { from: a, steps: [ sum: {}, cry: { name: two } ] }\n"), "");
  ASSERT_EQ(lane->alarms().active_count(), 1U);
  EXPECT_EQ(lane->alarms().active()[0].name, "two");
  EXPECT_THAT(lane->alarms().history()[0].why, HasSubstr("has this alarm no more"));
  ASSERT_EQ(apply("  other: { from: a }\n"), "");
  EXPECT_EQ(lane->alarms().active_count(), 0U);
}

TEST_F(SwapTest, LosesNothingUnderTraffic) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ sum: {} ], to: [ note: { name: n } ] }\n"), "");
  std::atomic<bool> stop = false;
  std::atomic<int> sent = 0;
  std::thread source([&] {
    Emit emit = world.emits.at("a");
    while (!stop) {
      if (emit(samples({1}))) ++sent;
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(apply(i % 2 == 0 ? "  p: { from: a, steps: [ sum: {}, cry: {} ], to: [ note: { name: n } ] }\n"
                               : "  p: { from: a, steps: [ sum: {} ], to: [ note: { name: n } ] }\n"),
              "");
  }
  stop = true;
  source.join();
  auto stats = lane->pipeline("p")->stats();
  for (int i = 0; i < 1000 && stats.queued > 0; ++i) {
    drain();
    stats = lane->pipeline("p")->stats();
  }
  const auto& delivered = world.delivered["n"];
  ASSERT_EQ(delivered.size(), static_cast<std::size_t>(sent));
  for (std::size_t i = 0; i < delivered.size(); ++i) ASSERT_EQ(delivered[i], static_cast<double>(i + 1));
}

TEST_F(SwapTest, PipelinesReadPipelines) {
  ASSERT_EQ(apply("  first: { from: a, steps: [ sum: {} ] }\n"
                  "  second: { from: [first, a], steps: [ ask: {} ], to: [ note: { name: n } ] }\n"),
            "");
  send({1, 2});
  answer_all();
  EXPECT_THAT(world.delivered["n"], testing::UnorderedElementsAre(1, 3, 1, 2));
  EXPECT_EQ(lane->pipeline("second")->stats().in, 4U);
  // Without its reader, and with it again.
  ASSERT_EQ(apply("  first: { from: a, steps: [ sum: {} ] }\n"), "");
  send({3});
  ASSERT_EQ(apply("  first: { from: a, steps: [ sum: {} ] }\n  second: { from: first, to: [ note: { name: n } ] }\n"),
            "");
  send({4});
  EXPECT_EQ(world.delivered["n"].back(), 10);
}

TEST_F(SwapTest, AReaderThatIsFullIsWaitedFor) {
  ASSERT_EQ(apply("  first: { from: a }\n  second: { from: first, to: [ note: { name: n } ] }\n"), "");
  const auto count = static_cast<double>(3 * Pipeline::kQueueMax);
  double sent = 0;
  for (int round = 0; round < 2000 && sent < count; ++round) {
    on_loop([&] {
      std::vector<Sample> batch;
      for (int i = 0; i < 2000; ++i) batch.push_back(std::move(samples({static_cast<int>(sent) + i})[0]));
      if (world.emits.at("a")(std::move(batch))) sent += 2000;
    });
  }
  std::size_t arrived = 0;
  for (int i = 0; i < 5000 && arrived < static_cast<std::size_t>(sent); ++i) {
    drain();
    on_loop([&] { arrived = world.delivered["n"].size(); });
  }
  EXPECT_EQ(lane->pipeline("second")->stats().refused, 0U);
  EXPECT_EQ(arrived, static_cast<std::size_t>(sent));
}

TEST_F(SwapTest, RefusesCirclesAndDoubleNames) {
  EXPECT_THAT(apply("  p: { from: q }\n  q: { from: [a, p] }\n"),
              HasSubstr("edge.yaml:4:14: pipelines.q.from: pipelines read each other in a circle: p -> q -> p"));
  EXPECT_THAT(apply("  p: { from: p }\n"), HasSubstr("in a circle: p -> p"));
  EXPECT_THAT(apply("  a: { from: a }\n"), HasSubstr("there is a source 'a' too"));
  EXPECT_THAT(apply("  first: { from: a }\n  q: { from: frist }\n"),
              HasSubstr("unknown source 'frist'; did you mean 'first'?"));
}

TEST_F(SwapTest, DeadLettersAreKeptAndTriedAgain) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ sum: {}, cry: {} ], to: [ note: { name: n } ] }\n"), "");
  send({-7, 6, 1});
  auto letters = lane->pipeline("p")->dead_letters();
  auto kept = letters->newest(10);
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].where, "step 2 (cry)");
  EXPECT_EQ(kept[0].why, "-7 is too little");
  EXPECT_THAT(kept[0].sample, HasSubstr("\"x\":-7"));
  EXPECT_EQ(kept[0].at, clock.wall());
  EXPECT_THAT(world.delivered["n"], ElementsAre(-1, 0));
  EXPECT_EQ(lane->pipeline("p")->steps()[1].errors, 1U);
}

TEST_F(SwapTest, DeadLettersGoWhereTheyFailed) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ cry: {} ], to: [ note: { name: n } ] }\n"), "");
  send({-7});
  send({-13});
  EXPECT_EQ(lane->pipeline("p")->dead_letters()->newest(1)[0].where, "sink 1 (note)");
  // The step of that place is of another kind now: its letter stays.
  ASSERT_EQ(apply("  p: { from: a, steps: [ sum: {} ], to: [ note: { name: n } ] }\n"), "");
  Replayed replayed;
  lane->replay_dead_letters("p", {}, [&](Replayed done) { replayed = done; });
  drain();
  EXPECT_EQ(replayed.replayed, 1U);
  EXPECT_EQ(replayed.left, 1U);
  auto kept = lane->pipeline("p")->dead_letters()->newest(10);
  ASSERT_EQ(kept.size(), 2U);  // -13 was refused again
  EXPECT_EQ(kept[1].where, "step 1 (cry)");
}

TEST_F(SwapTest, DeadLettersSurviveARestart) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ cry: {} ] }\n"), "");
  send({-7, -7});
  const auto file = folder / "dead_letters" / "p.ndjson";
  {
    DeadLetters again(folder / "none", clock, [] {});
    EXPECT_EQ(again.size(), 0U);
  }
  for (int i = 0; i < 500 && (!std::filesystem::exists(file) || std::filesystem::file_size(file) < 100); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::ofstream(file, std::ios::app) << "{\"id\":9,\"wh";  // torn by a crash
  int written = 0;
  DeadLetters again(file, clock, [&] { ++written; });
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again.newest(1)[0].id, 2U);
  again.add({"step 1 (cry)", "once more", samples({8})[0]});
  EXPECT_EQ(written, 1);
  again.write();
  const DeadLetters third(file, clock, [] {});
  ASSERT_EQ(third.size(), 3U);
  EXPECT_EQ(third.newest(1)[0].why, "once more");
  EXPECT_EQ(again.trouble(), "");
}

TEST_F(SwapTest, AReceiptIsHeldUntilTheLetterIsOnDisk) {
  DeadLetters letters(folder / "no" / "such.ndjson", clock, [] {});
  std::vector<std::weak_ptr<const Receipt>> receipts;
  const auto add = [&](int n) {
    DeadLetter letter{"step 1 (cry)", "why", samples({n})[0]};
    letter.sample.receipt = std::make_shared<Receipt>();
    receipts.emplace_back(letter.sample.receipt);
    letters.add(std::move(letter));
  };
  add(0);
  EXPECT_FALSE(letters.write());
  add(1);
  EXPECT_FALSE(letters.write());
  EXPECT_FALSE(receipts[0].expired());
  EXPECT_FALSE(receipts[1].expired());
  std::filesystem::create_directories(folder / "no");
  EXPECT_TRUE(letters.write());
  EXPECT_TRUE(receipts[0].expired());
  EXPECT_TRUE(receipts[1].expired());
}

TEST_F(SwapTest, AReceiptGoesWithTheLetterThatMadeRoom) {
  DeadLetters letters(folder / "no" / "such.ndjson", clock, [] {});
  DeadLetter first{"step 1 (cry)", "why", samples({0})[0]};
  first.sample.receipt = std::make_shared<Receipt>();
  const std::weak_ptr<const Receipt> receipt = first.sample.receipt;
  letters.add(std::move(first));
  for (std::size_t i = 1; i < DeadLetters::kMost; ++i) {
    if (i % 500 == 0) clock.advance(std::chrono::seconds(1));
    letters.add({"step 1 (cry)", "why", samples({1})[0]});
  }
  EXPECT_FALSE(receipt.expired());
  clock.advance(std::chrono::seconds(1));
  letters.add({"step 1 (cry)", "why", samples({1})[0]});
  EXPECT_TRUE(receipt.expired());
}

TEST_F(SwapTest, DeadLettersThatCouldNotBeWrittenAreTriedAgain) {
  DeadLetterStore store(folder / "no" / "letters", clock);
  const auto letters = store.of("p");
  letters->add({"step 1 (cry)", "why", samples({8})[0]});
  const auto within = [](const std::function<bool()>& so) {
    for (int i = 0; i < 1'000 && !so(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return so();
  };
  ASSERT_TRUE(within([&] { return !letters->trouble().empty(); }));
  std::filesystem::create_directories(folder / "no");
  EXPECT_TRUE(within([&] { return std::filesystem::exists(folder / "no" / "letters" / "p.ndjson"); }));
}

TEST_F(SwapTest, DeadLettersSayWhyTheyAreNotOnDisk) {
  DeadLetters letters(folder / "no" / "such.ndjson", clock, [] {});
  letters.add({"step 1 (cry)", "why", samples({8})[0]});
  letters.write();
  EXPECT_THAT(letters.trouble(), HasSubstr("No such file"));
  std::filesystem::create_directories(folder / "no");
  letters.add({"step 1 (cry)", "why", samples({9})[0]});
  letters.write();
  EXPECT_EQ(letters.trouble(), "");
  EXPECT_EQ(DeadLetters(folder / "no" / "such.ndjson", clock, [] {}).size(), 2U);
}

TEST_F(SwapTest, TapsShowWhatPasses) {
  ASSERT_EQ(apply("  p: { from: a, steps: [ sum: {} ] }\n"), "");
  std::vector<Event> in;
  std::vector<Event> out;
  EXPECT_EQ(lane->tap("p", "2"), nullptr);
  auto first = lane->tap("p", "0")->subscribe(
      loop, [&](auto events, auto) { in.insert(in.end(), events.begin(), events.end()); });
  auto second = lane->tap("p", "1")->subscribe(
      loop, [&](auto events, auto) { out.insert(out.end(), events.begin(), events.end()); });
  send({2});
  ASSERT_EQ(apply("  p: { from: a, steps: [ sum: {}, sum: {} ] }\n"), "");
  send({3});
  ASSERT_EQ(in.size(), 2U);
  ASSERT_EQ(out.size(), 2U);  // over the reload
  EXPECT_THAT(*out[1].json, HasSubstr("\"x\":5"));
  on_loop([&] {
    first.reset();
    second.reset();
  });
}

TEST(Succession, FindsTheLongestCommonOrder) {
  using Found = std::vector<std::optional<std::size_t>>;
  EXPECT_EQ(successors({"a", "b", "c"}, {"b", "x", "c"}), (Found{std::nullopt, 0, 2}));
  EXPECT_EQ(successors({"a"}, {}), (Found{std::nullopt}));
  EXPECT_EQ(successors({"a", "a"}, {"a"}), (Found{0, std::nullopt}));
}

}  // namespace
}  // namespace penstock::ingest
