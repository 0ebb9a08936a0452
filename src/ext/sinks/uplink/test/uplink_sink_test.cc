#include "ext/sinks/uplink/uplink_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using ingest::Sent;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Peer {
  bool up = true;
  bool silent = false;
  int batches = 0;
  std::vector<std::function<void(Sent)>> held;
};

class FakeSink : public ingest::Sink {
 public:
  explicit FakeSink(Peer& peer) : peer_(peer) {}
  Result<void> start(rt::Loop&) override { return {}; }
  void send(ingest::Batch, std::function<void(Sent)> done) override {
    if (peer_.silent) return peer_.held.push_back(std::move(done));
    if (!peer_.up) return done({.outcome = Sent::Outcome::again, .why = "no carrier"});
    ++peer_.batches;
    done({});
  }
  void stop() override {}
  ingest::Status status() const override {
    return {.detail = "", .messages = static_cast<std::uint64_t>(peer_.batches)};
  }

 private:
  Peer& peer_;
};

// One loop that never runs: everything here happens within the calls.
class UplinkSinkTest : public testing::Test {
 protected:
  void make(bool with_probe = true) {
    UplinkOptions options;
    options.back_after = 60s;
    options.timeout = 15s;
    options.probe = [this](rt::Loop&, const net::HostPort& address, std::function<void(Result<void>)> done) {
      probes.push_back(address.host);
      if (probe_up) return done({});
      done(fail(Errc::unavailable, "connection refused"));
    };
    options.links.push_back(
        {.name = "lte", .sink = std::make_unique<FakeSink>(lte), .every = 10s, .cost = 1, .metered = true});
    options.links.push_back({.name = "fibre", .sink = std::make_unique<FakeSink>(fibre), .every = 10s});
    if (with_probe) options.links.back().probe = net::HostPort{"hub", 8883};
    sink = std::make_unique<UplinkSink>(std::move(options), clock);
    sink->on_ready([this] { ++told; });
    ASSERT_TRUE(sink->start(loop));
  }
  ~UplinkSinkTest() override {
    if (sink) sink->stop();
  }
  Sent send() {
    Sent result{.outcome = Sent::Outcome::refused, .why = "not answered"};
    sink->send(std::make_shared<const std::vector<ingest::Sample>>(1), [&](Sent sent) { result = std::move(sent); });
    return result;
  }
  void pass(base::Duration time) {
    for (base::Duration gone{}; gone < time; gone += 1s) {
      clock.advance(1s);
      sink->tick();
    }
  }
  std::string link() const { return sink->status().link; }

  rt::Loop loop;
  base::FakeClock clock;
  Peer fibre;
  Peer lte;
  bool probe_up = true;
  std::vector<std::string> probes;
  int told = 0;
  std::unique_ptr<UplinkSink> sink;
};

TEST_F(UplinkSinkTest, UsesTheCheapestThatWorks) {
  make();
  EXPECT_EQ(link(), "fibre");
  EXPECT_EQ(send().outcome, Sent::Outcome::confirmed);
  EXPECT_EQ(fibre.batches, 1);
  EXPECT_EQ(lte.batches, 0);
  EXPECT_THAT(probes, ElementsAre("hub"));
}

TEST_F(UplinkSinkTest, FailsOverAtOnceAndHoldsBulkBackOnAMeteredLink) {
  make();
  EXPECT_EQ(sink->least(), ingest::Priority::bulk);
  fibre.up = false;
  probe_up = false;
  told = 0;
  const Sent failed = send();
  EXPECT_EQ(failed.outcome, Sent::Outcome::again);
  EXPECT_EQ(failed.why, "no carrier");
  EXPECT_EQ(told, 1) << "the outlet need not wait";
  EXPECT_EQ(link(), "lte");
  EXPECT_EQ(sink->least(), ingest::Priority::normal);
  EXPECT_EQ(send().outcome, Sent::Outcome::confirmed);
  EXPECT_EQ(lte.batches, 1);
  EXPECT_THAT(sink->status().detail, HasSubstr("fibre does not work: no carrier"));
}

TEST_F(UplinkSinkTest, GoesBackOnlyAfterItStayedWell) {
  make();
  fibre.up = false;
  probe_up = false;
  send();
  pass(30s);
  EXPECT_EQ(link(), "lte");
  fibre.up = probe_up = true;
  pass(12s);  // the next probe
  EXPECT_EQ(link(), "lte");
  pass(30s);
  probe_up = false;  // and away again
  pass(12s);
  probe_up = true;
  pass(45s);
  EXPECT_EQ(link(), "lte");
  told = 0;
  pass(30s);
  EXPECT_EQ(link(), "fibre");
  EXPECT_GE(told, 1);
}

TEST_F(UplinkSinkTest, AProbeThatFailsEndsWhatIsUnderWay) {
  make();
  fibre.silent = true;
  Sent answer{.outcome = Sent::Outcome::refused};
  int answers = 0;
  sink->send(std::make_shared<const std::vector<ingest::Sample>>(1), [&](Sent sent) {
    answer = std::move(sent);
    ++answers;
  });
  probe_up = false;
  pass(10s);
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(answer.outcome, Sent::Outcome::again);
  EXPECT_THAT(answer.why, HasSubstr("hub:8883: connection refused"));
  EXPECT_EQ(link(), "lte");
  fibre.held.front()({});  // too late
  EXPECT_EQ(answers, 1);
}

TEST_F(UplinkSinkTest, ALinkThatDoesNotAnswerHasFailed) {
  make(false);
  fibre.silent = true;
  Sent answer{.outcome = Sent::Outcome::refused};
  sink->send(std::make_shared<const std::vector<ingest::Sample>>(1), [&](Sent sent) { answer = std::move(sent); });
  pass(16s);
  EXPECT_EQ(answer.outcome, Sent::Outcome::again);
  EXPECT_EQ(answer.why, "fibre did not confirm within 15s");
  EXPECT_EQ(link(), "lte");
}

// As an outlet does that is being stopped: it waits for the answer and no longer.
TEST_F(UplinkSinkTest, CanBeStoppedFromWithinTheAnswerOfALinkThatHangs) {
  make(false);
  fibre.silent = true;
  int answers = 0;
  sink->send(std::make_shared<const std::vector<ingest::Sample>>(1), [&](const Sent&) {
    ++answers;
    sink->stop();
  });
  pass(16s);
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(sink->status().detail, "stopped");
}

TEST_F(UplinkSinkTest, WithoutAProbeAFailedLinkIsTriedAgainLater) {
  make(false);
  fibre.up = lte.up = false;
  send();
  EXPECT_EQ(link(), "lte");
  EXPECT_EQ(send().outcome, Sent::Outcome::again);
  EXPECT_EQ(link(), "");
  EXPECT_FALSE(sink->status().connected);
  EXPECT_EQ(send().outcome, Sent::Outcome::again);
  told = 0;
  fibre.up = true;
  pass(11s);
  EXPECT_GE(told, 1);
  EXPECT_EQ(link(), "fibre");
  EXPECT_EQ(send().outcome, Sent::Outcome::confirmed);
}

TEST_F(UplinkSinkTest, AMeteredLinkThatIsNotNeededIsLeftAlone) {
  make();
  probes.clear();
  pass(60s);
  EXPECT_THAT(probes, testing::Each("hub"));
  EXPECT_EQ(probes.size(), 6U);
}

std::string report_of(const std::string& yaml) {
  base::Registry registry;
  static Peer peer;
  registry.add("fake", ingest::SinkFactory{
                           [](const std::string&, const config::Node&, config::Map& map, const ingest::Context&) {
                             map.text("url");
                             return std::make_unique<FakeSink>(peer);
                           }});
  ingest::Context context{.registry = &registry, .clock = &base::system_clock()};
  auto document = config::Document::parse("uplink: " + yaml + "\n", "edge.yaml");
  config::Map root = document->root().map();
  config::Map map = root.get("uplink").map();
  make_uplink_sink("line", root.get("uplink"), map, context);
  map.done();
  root.done();
  return document->report();
}

TEST(UplinkConfig, ReadsLinksAndSaysWhatIsWrong) {
  EXPECT_THAT(
      report_of("{ links: [ { name: a, fake: { url: x }, probe: 'tcp://hub:8883', every: 5s }, { name: b, fake: {}, "
                "cost: 2, metered: true } ], back_after: 30s, timeout: 5s }"),
      IsEmpty());
  EXPECT_THAT(report_of("{ links: [] }"), HasSubstr("1 to 16 links"));
  EXPECT_THAT(report_of("{ links: [ { name: a } ] }"), HasSubstr("one kind of sink"));
  EXPECT_THAT(report_of("{ links: [ { name: a, fake: {}, probe: 'hub:8883' } ] }"), HasSubstr("tcp://hub:8883"));
  EXPECT_THAT(report_of("{ links: [ { name: a, fake: {} }, { name: a, fake: {} } ] }"),
              HasSubstr("another link is called 'a'"));
  EXPECT_THAT(report_of("{ links: [ { name: a, fake: { urll: x } } ] }"), HasSubstr("did you mean 'url'?"));
}

}  // namespace
}  // namespace penstock::ext
