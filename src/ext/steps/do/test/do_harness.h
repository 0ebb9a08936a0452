// For tests of `do` steps: a gateway that can crash, while its disk and the machine go on.
#pragma once

#include <gmock/gmock.h>

#include "ext/steps/do/do_step.h"
#include "ingest/action_board.h"
#include "ingest/alarm_board.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {

using ingest::ActionEvent;
using ingest::AlarmChange;
using ingest::Sample;
using ingest::Value;

// A disk: what is put is durable once commit() was called, or at once.
class FakeState : public ingest::StatePort {
 public:
  std::optional<std::string> get(const std::string& key) const override {
    auto found = memory.find(key);
    return found == memory.end() ? std::nullopt : std::optional(found->second);
  }
  void put(std::string key, std::string value, Kept kept = {}) override {
    memory[key] = value;
    waiting.push_back([this, key, value, kept] {
      if (full) {
        if (kept) kept(fail(Errc::resource_exhausted, "the disk is full"));
        return;
      }
      disk[key] = value;
      if (kept) kept({});
    });
    if (at_once) commit();
  }
  void erase(const std::string& key) override {
    memory.erase(key);
    waiting.push_back([this, key] { disk.erase(key); });
    if (at_once) commit();
  }
  std::vector<std::pair<std::string, std::string>> entries(const std::string& prefix) const override {
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& one : memory) {
      if (one.first.starts_with(prefix)) found.push_back(one);
    }
    return found;
  }
  void commit() {
    for (auto& one : std::exchange(waiting, {})) one();
  }
  // The process ended: only the disk is left.
  void crash() {
    waiting.clear();
    memory = disk;
  }

  std::map<std::string, std::string> memory, disk;
  std::vector<std::function<void()>> waiting;
  bool at_once = true;
  bool full = false;
};

struct FakePoints : public ingest::WritePort {
  void write(rt::Loop& loop, ingest::PointWrite write, std::function<void(Result<Value>)> done) override {
    writes.push_back(write.source + "." + write.point);
    auto answer = [&loop, done](Result<Value> value) { loop.post([done, value] { done(value); }); };
    if (silent) {
      waiting.push_back(answer);
    } else {
      answer(reads ? *reads : Result<Value>(write.value));
    }
  }
  void read(rt::Loop& loop, ingest::PointRead read, std::function<void(Result<Value>)> done) override {
    reads_asked.push_back(read.source + "." + read.point);
    Result<Value> answer = fail(Errc::unavailable, "the machine does not answer");
    if (refuses) answer = std::unexpected(*refuses);
    if (auto held = holds.find(reads_asked.back()); held != holds.end()) answer = held->second;
    if (!silent) loop.post([done, answer] { done(answer); });
  }
  std::vector<std::string> writes, reads_asked;
  std::map<std::string, Value> holds;  // what a look at the machine finds; nothing: it does not answer
  std::optional<Error> refuses;        // but says this
  std::vector<std::function<void(Result<Value>)>> waiting;
  std::optional<Result<Value>> reads;
  bool silent = false;
};

// A gateway that can crash: the disk and the machine outlast it.
class DoTest : public testing::Test {
 protected:
  void start(const std::string& yaml = "{ on: wear.raised, write: { plc.stop: true } }") {
    context = {.clock = &clock, .writes = &points, .state = &state};
    board = std::make_unique<ingest::ActionBoard>(&state, &clock,
                                                  [this](const ActionEvent& event) { events.push_back(event); });
    context.actions = board.get();
    alarms = std::make_unique<ingest::AlarmBoard>();
    alarms->attach(&state, nullptr, &clock);
    alarms->restore();
    make(yaml);
  }
  // Another step in the gateway that runs.
  void make(const std::string& yaml) {
    auto document = config::Document::parse("step: " + yaml + "\n", "test.yaml");
    ASSERT_TRUE(document);
    ingest::StepContext step_context;
    step_context.shared = &context;
    step_context.pipeline = "line";
    step_context.loop = &loop;
    step_context.alarm_changed = [this](const AlarmChange& change) { alarms->change(change); };
    step_context.failed = [this](std::string_view what) { errors.emplace_back(what); };
    step_context.alarms = std::make_shared<ingest::AlarmTable>();
    step_context.alarms->try_emplace("wear");
    step_context.raised = [this](const std::string& name) { return alarms->raised("line", name); };
    config::Map root = document->root().map();
    step = make_do(root.get("step"), step_context);
    root.done();
    report = document->report();
  }
  void crash() {
    step.reset();
    board.reset();
    alarms.reset();
    state.crash();
    points.waiting.clear();
    run();
    events.clear();
  }
  void run() {
    for (int i = 0; i < 8; ++i) {
      loop.post([this] { loop.stop(); });
      loop.run();
    }
  }
  // The same alarm as before, from a journal that is read again: the board has seen it already.
  Sample again(const Sample& sample) {
    alarms->change(*sample.alarm);
    return sample;
  }
  // The alarm step's part: the board knows first, then the sample comes along.
  Sample alarm(bool raised = true, const std::string& device = "press-1") {
    clock.advance(std::chrono::seconds(1));
    AlarmChange change;
    change.pipeline = "line";
    change.name = "wear";
    change.device = device;
    change.raised = raised;
    change.at = clock.wall();
    change.why = "score > 0.8";
    Sample sample;
    sample.device = device;
    sample.event_time = sample.ingest_time = clock.wall();
    sample.set("score", 0.9);
    sample.alarm = std::make_shared<AlarmChange>(change);
    alarms->change(change);
    return sample;
  }
  void push(Sample sample) {
    struct Out : ingest::Output {
      void emit(Sample) override {}
    } out;
    step->push(std::move(sample), out);
    run();
  }
  void tick() {
    struct Out : ingest::Output {
      void emit(Sample) override {}
    } out;
    step->tick(clock.wall(), out);
    run();
  }
  std::vector<std::string> happened() const {
    std::vector<std::string> found;
    for (const ActionEvent& event : events) found.push_back(event.what);
    return found;
  }
  std::string why() const { return events.empty() ? "" : events.back().why; }
  std::vector<std::string> standing() const {
    std::vector<std::string> found;
    for (const AlarmChange& change : alarms->active()) found.push_back(change.name);
    return found;
  }

  base::FakeClock clock;
  rt::Loop loop;
  FakeState state;
  FakePoints points;
  ingest::Context context;
  std::string report;
  std::vector<ActionEvent> events;  // a step that ends in the middle of an attempt tells so
  std::vector<std::string> errors;
  std::unique_ptr<ingest::ActionBoard> board;
  std::unique_ptr<ingest::AlarmBoard> alarms;
  std::unique_ptr<ingest::Step> step;
};

}  // namespace penstock::ext::steps
