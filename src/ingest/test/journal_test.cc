// A lane with a durable source, its journal on a real disk, and sinks that confirm when they are told to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "ingest/lane.h"
#include "rt/test/on_loop.h"

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

// What sinks of one name do and got; on the loop.
struct Peer {
  bool up = true;
  std::vector<std::int64_t> got;
  std::vector<std::string> names;  // of the same
};

// What the step `keep` holds back; on the loop.
struct Keeper {
  enum class Mode : std::uint8_t { pass, hold, copy } mode = Mode::pass;
  std::vector<Sample> kept;
};

class KeepStep : public Step {
 public:
  explicit KeepStep(Keeper& keeper) : keeper_(keeper) {}
  void push(Sample sample, Output& out) override {
    if (keeper_.mode != Keeper::Mode::pass) keeper_.kept.push_back(sample);
    if (keeper_.mode != Keeper::Mode::hold) out.emit(std::move(sample));
  }

 private:
  Keeper& keeper_;
};

class PeerSink : public Sink {
 public:
  explicit PeerSink(Peer& peer) : peer_(peer) {}
  Result<void> start(rt::Loop&) override { return {}; }
  void send(Batch batch, std::function<void(Sent)> done) override {
    if (!peer_.up) return done({.outcome = Sent::Outcome::again, .why = "away"});
    for (const Sample& sample : *batch) {
      peer_.got.push_back(std::get<std::int64_t>(sample.find("n")->value));
      peer_.names.push_back(fmt::format("{}#{}", sample.origin ? *sample.origin : "", sample.sequence));
    }
    done({});
  }
  void stop() override {}
  Status status() const override { return {}; }

 private:
  Peer& peer_;
};

class DurableSource : public Source {
 public:
  explicit DurableSource(Emit& emit) : emit_(emit) {}
  Result<void> start(rt::Loop&, Emit emit) override {
    emit_ = std::move(emit);
    return {};
  }
  void stop() override {}
  Status status() const override { return {}; }
  bool durable() const override { return true; }

 private:
  Emit& emit_;
};

class Quarantine : public DevicePort {
 public:
  bool admit(std::string_view, std::string_view device) override { return device != "stranger"; }
};

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-journal-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    registry_.add("fake", SourceFactory{[this](const std::string&, const config::Node&, config::Map&, const Context&) {
                    return std::make_unique<DurableSource>(emit_);
                  }});
    registry_.add("peer",
                  SinkFactory{[this](const std::string&, const config::Node&, config::Map& map, const Context&) {
                    return std::make_unique<PeerSink>(peers_[map.text("name")]);
                  }});
    registry_.add("keep", StepFactory{[this](const config::Node& node, const StepContext&) {
                    node.map().done();
                    return std::make_unique<KeepStep>(keeper_);
                  }});
    thread_ = std::thread([this] { loop_.run(); });
    open();
  }
  ~JournalTest() override {
    if (lane_) stop();
    loop_.stop();
    thread_.join();
    lane_.reset();
    std::filesystem::remove_all(folder_);
  }

  void open() {
    lane_ = std::make_unique<Lane>(LaneOptions{.context = {.registry = &registry_,
                                                           .clock = &base::system_clock(),
                                                           .devices = &quarantine_,
                                                           .data_dir = folder_},
                                               .loops = {&loop_},
                                               .on_alarm = {}});
  }
  void stop() {
    std::atomic<bool> done = false;
    lane_->stop([&] {
      done = true;
      done.notify_all();
    });
    done.wait(false);
    lane_.reset();
    on_loop([&] { keeper_ = {}; });
  }
  void apply(const std::string& pipelines, const std::string& press = "fake: {}") {
    std::string text = "sources: { press: { " + press + " } }\npipelines:\n" + pipelines;
    auto document = config::Document::parse(text, "edge.yaml");
    config::Map root = document->root().map();
    Plan plan = lane_->plan(root);
    root.done();
    ASSERT_FALSE(document->failed()) << document->report();
    described_ = plan.describe();
    lane_->apply(std::move(plan));
    on_loop([] {});
  }
  void on_loop(const std::function<void()>& work) { rt::run_on(loop_, work); }
  // True when all of it was stored.
  bool store(int first, int last, const std::string& device = "d") {
    std::vector<Sample> samples;
    for (int n = first; n < last; ++n) {
      samples.emplace_back();
      samples.back().device = device;
      samples.back().set("n", std::int64_t{n});
    }
    std::atomic<int> answer = 0;
    emit_.store(std::move(samples), [&](bool stored) {
      answer = stored ? 1 : -1;
      answer.notify_all();
    });
    answer.wait(0);
    return answer == 1;
  }
  bool until(const std::function<bool()>& so) {
    for (int i = 0; i < 2'000; ++i) {
      bool is = false;
      on_loop([&] { is = so(); });
      if (is) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }
  bool settled() {
    return until([&] {
      for (const BufferStatus& one : lane_->buffers().status()) {
        if (one.name == "journals/press") return one.stats.backlog == 0;
      }
      return false;
    });
  }
  static std::vector<std::int64_t> range(int first, int last) {
    std::vector<std::int64_t> result;
    for (int n = first; n < last; ++n) result.push_back(n);
    return result;
  }

  std::string folder_;
  base::Registry registry_;
  Quarantine quarantine_;
  Emit emit_;
  std::map<std::string, Peer> peers_;
  Keeper keeper_;
  std::string described_;  // what penstock check says of the last one applied
  rt::Loop loop_;
  std::thread thread_;
  std::unique_ptr<Lane> lane_;
};

constexpr const char* kOne = "  one: { from: press, to: [ peer: { name: a } ] }\n";
constexpr const char* kTwo =
    "  one: { from: press, to: [ peer: { name: a } ] }\n"
    "  two: { from: press, to: [ peer: { name: b } ] }\n";

TEST_F(JournalTest, HandsOutWhatItStoredAndSettles) {
  apply(kOne);
  ASSERT_TRUE(store(0, 10));
  ASSERT_TRUE(store(10, 20));
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() == 20; }));
  EXPECT_EQ(peers_["a"].got, range(0, 20));
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, WhatWasNotDeliveredIsOfferedAgainAfterARestart) {
  apply(kOne);
  ASSERT_TRUE(store(0, 100));
  ASSERT_TRUE(settled());
  on_loop([&] { peers_["a"].up = false; });
  ASSERT_TRUE(store(100, 300));
  stop();
  peers_["a"].up = true;
  open();
  apply(kOne);
  ASSERT_TRUE(store(300, 310));
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= 310; }));
  EXPECT_EQ(peers_["a"].got, range(0, 310));
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, APipelineThatIsFullDoesNotHoldUpTheOthers) {
  apply(
      "  one: { from: press, to: [ peer: { name: a, buffer: { memory: 50, full: refuse } } ] }\n"
      "  two: { from: press, to: [ peer: { name: b } ] }\n");
  on_loop([&] { peers_["a"].up = false; });
  constexpr int kMany = 30'000;  // more than the queues of a pipeline hold
  for (int n = 0; n < kMany; n += 500) ASSERT_TRUE(store(n, n + 500));
  ASSERT_TRUE(until([&] { return peers_["b"].got.size() == kMany; }));
  EXPECT_EQ(peers_["b"].got, range(0, kMany));
  on_loop([&] { peers_["a"].up = true; });
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= kMany; }));
  EXPECT_EQ(peers_["a"].got, range(0, kMany));
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, ARestartDoesNotRepeatWhatOnePipelineHad) {
  apply(kTwo);
  on_loop([&] { peers_["a"].up = false; });
  ASSERT_TRUE(store(0, 50));
  ASSERT_TRUE(until([&] { return peers_["b"].got.size() == 50; }));
  stop();
  peers_["a"].up = true;
  open();
  apply(kTwo);
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() == 50; }));
  ASSERT_TRUE(settled());
  EXPECT_EQ(peers_["a"].got, range(0, 50));
  EXPECT_EQ(peers_["b"].got, range(0, 50));
}

TEST_F(JournalTest, AReloadOffersToTheNewPipelineWhatTheOldCouldNotDeliver) {
  apply(kOne);
  on_loop([&] { peers_["a"].up = false; });
  ASSERT_TRUE(store(0, 40));
  apply("  one: { from: press, to: [ peer: { name: b } ] }\n");
  ASSERT_TRUE(store(40, 50));
  ASSERT_TRUE(until([&] { return peers_["b"].got.size() >= 50; }));
  EXPECT_EQ(peers_["b"].got, range(0, 50));
  EXPECT_THAT(peers_["a"].got, IsEmpty());
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, APipelineThatIsGoneHoldsNothingBack) {
  apply(kTwo);
  on_loop([&] { peers_["b"].up = false; });
  ASSERT_TRUE(store(0, 40));
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() == 40; }));
  apply(kOne);
  EXPECT_TRUE(settled());
  ASSERT_TRUE(store(40, 50));
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() == 50; }));
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, SamplesOfDevicesThatMayNotSpeakAreLeftOut) {
  apply(kOne);
  ASSERT_TRUE(store(0, 5, "stranger"));
  ASSERT_TRUE(store(5, 7));
  EXPECT_TRUE(emit_([] {
    std::vector<Sample> samples(2);
    samples[0].device = "stranger";
    samples[0].set("n", std::int64_t{8});
    samples[1].set("n", std::int64_t{9});
    return samples;
  }()));
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= 3; }));
  EXPECT_THAT(peers_["a"].got, testing::UnorderedElementsAre(5, 6, 9));
}

constexpr const char* kKeep = "  one: { from: press, steps: [ keep: {} ], to: [ peer: { name: a } ] }\n";

TEST_F(JournalTest, AReceiptSettlesNothingThatIsStillUnderWay) {
  keeper_.mode = Keeper::Mode::hold;
  apply(kKeep);
  for (int n = 0; n < 30; n += 10) {
    ASSERT_TRUE(store(n, n + 10));
    ASSERT_TRUE(until([&] { return keeper_.kept.size() == static_cast<std::size_t>(n) + 10; }));
  }
  // Those around the second ten come again in one piece, and are delivered.
  on_loop([&] {
    keeper_.mode = Keeper::Mode::pass;
    for (std::size_t i = 0; i < 30; ++i) {
      if (i < 10 || i >= 20) keeper_.kept[i].receipt->abandon();
    }
    keeper_.kept.erase(keeper_.kept.begin() + 20, keeper_.kept.end());
    keeper_.kept.erase(keeper_.kept.begin(), keeper_.kept.begin() + 10);
  });
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() == 20; }));
  stop();
  open();
  apply(kKeep);
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= 30; }));
  EXPECT_THAT(peers_["a"].got, testing::IsSupersetOf(range(10, 20)));
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, EditingASourceOffersNothingTwice) {
  apply(kOne);
  on_loop([&] { peers_["a"].up = false; });
  ASSERT_TRUE(store(0, 100));
  apply(kOne, "fake: { other: 1 }");
  ASSERT_TRUE(store(100, 110));
  apply(kOne, "fake: {}, journal: { disk: 2MB }");
  ASSERT_TRUE(store(110, 120));
  on_loop([&] { peers_["a"].up = true; });
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= 120; }));
  ASSERT_TRUE(store(120, 130));
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= 130; }));
  EXPECT_EQ(peers_["a"].got, range(0, 130));
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, WhatASinkInMemoryHasNoRoomForWaitsOnTheDisk) {
  apply("  one: { from: press, to: [ peer: { name: a, buffer: { memory: 100 } } ] }\n");
  EXPECT_THAT(described_, testing::HasSubstr("up to 100 samples in memory, then the pipeline and its sources wait"));
  on_loop([&] { peers_["a"].up = false; });
  for (int n = 0; n < 3'000; n += 500) ASSERT_TRUE(store(n, n + 500));
  on_loop([&] { peers_["a"].up = true; });
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= 3'000; }));
  EXPECT_EQ(peers_["a"].got, range(0, 3'000));
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, WhatIsDroppedAlthoughItWasAnsweredForIsSaid) {
  apply(
      "  one: { from: press, to: [ peer: { name: a, buffer: { full: drop_newest } } ] }\n"
      "  two: { from: one, to: [ peer: { name: b, buffer: { disk: 2MB } }, peer: { name: c } ] }\n");
  EXPECT_THAT(described_, testing::HasSubstr("in memory, then new ones are dropped that a source has answered for"));
  EXPECT_THAT(described_, testing::HasSubstr("on disk, then the oldest are dropped that a source has answered for"));
  EXPECT_THAT(described_, testing::HasSubstr("sink 2 peer    up to 10000 samples in memory, then the pipeline"));
  EXPECT_THAT(described_, testing::HasSubstr("512 KiB of receipts"));
}

TEST_F(JournalTest, ReceiptsCoverMoreTheMoreSamplesAreUnderWay) {
  keeper_.mode = Keeper::Mode::hold;
  apply(kKeep);
  constexpr std::size_t kStores = 600;
  for (std::size_t i = 1; i <= kStores; ++i) {
    ASSERT_TRUE(store(0, 5));
    std::size_t kept = 0;
    while (kept < 5 * i) on_loop([&] { kept = keeper_.kept.size(); });
  }
  on_loop([&] {
    std::set<const Receipt*> receipts;
    for (const Sample& sample : keeper_.kept) receipts.insert(sample.receipt.get());
    EXPECT_GT(receipts.size(), 64U) << "while few are under way, each store has its own";
    EXPECT_LT(receipts.size(), kStores / 2);
    keeper_ = {};
  });
  EXPECT_TRUE(settled());
}

TEST_F(JournalTest, WhatIsOfferedAgainAfterACrashHasTheNameItHad) {
  const std::string pipelines =
      "  one: { from: press, steps: [ keep: {} ], to: [ peer: { name: a }, peer: { name: b, buffer: { disk: 2MB } } ] "
      "}\n"
      "  two: { from: [ press, one ], to: [ peer: { name: c } ] }\n";
  keeper_.mode = Keeper::Mode::copy;
  apply(pipelines);
  ASSERT_TRUE(store(0, 10));
  ASSERT_TRUE(until([&] { return peers_["b"].got.size() == 10 && peers_["c"].got.size() == 20; }));
  EXPECT_EQ(peers_["a"].names, peers_["b"].names) << "one sample, two sinks";
  EXPECT_EQ(std::set(peers_["c"].names.begin(), peers_["c"].names.end()).size(), 20U) << "two ways, two samples";
  const auto before = peers_["a"].names;
  EXPECT_THAT(before[0], testing::MatchesRegex("press/[0-9a-f]+/one#[0-9]+"));

  const std::string whole = folder_;
  const std::string crashed = folder_ + "-crashed";
  std::filesystem::copy(whole, crashed, std::filesystem::copy_options::recursive);
  stop();
  peers_.clear();
  folder_ = crashed;
  open();
  apply(pipelines);
  ASSERT_TRUE(until([&] { return peers_["a"].got.size() >= 10 && peers_["b"].got.size() >= 10; }));
  EXPECT_EQ(peers_["a"].names, before);
  EXPECT_EQ(std::set(peers_["b"].names.begin(), peers_["b"].names.end()), std::set(before.begin(), before.end()));
  EXPECT_TRUE(settled());
  stop();
  std::filesystem::remove_all(crashed);
  folder_ = whole;
}

TEST_F(JournalTest, ASampleThatCameWithANameKeepsIt) {
  apply(kOne);
  std::vector<Sample> samples(1);
  samples[0].set("n", std::int64_t{1});
  samples[0].sequence = 7;
  samples[0].origin = std::make_shared<const std::string>("edge/1/line");
  emit_.store(std::move(samples), [](bool) {});
  ASSERT_TRUE(until([&] { return !peers_["a"].got.empty(); }));
  EXPECT_EQ(peers_["a"].names.front(), "edge/1/line/one#7");
}

TEST_F(JournalTest, ADiskThatTakesNothingIsToldToTheSource) {
  stop();
  folder_ += "/nowhere";
  ASSERT_FALSE(std::filesystem::exists(folder_));
  std::filesystem::create_symlink("/dev/null", folder_);
  open();
  apply(kOne);
  EXPECT_FALSE(store(0, 5));
  folder_ = std::filesystem::path(folder_).parent_path().string();
}

}  // namespace
}  // namespace penstock::ingest
