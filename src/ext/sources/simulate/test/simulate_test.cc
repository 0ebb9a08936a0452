#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "ext/sources/simulate/simulate_source.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

double rms(const std::vector<double>& values) {
  double sum = 0;
  for (double one : values) sum += one * one;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(SimulatedPress, WearsOutAndGetsWarm) {
  SimulatedPress press(100s, 10s, 1);
  const base::SteadyTime begin{1h};
  const auto fresh = press.read(begin);
  EXPECT_EQ(fresh.wear, 0);
  EXPECT_EQ(fresh.vib.size(), SimulatedPress::kValues);
  SimulatedPress::Reading worn;
  for (int second = 1; second <= 120; ++second) worn = press.read(begin + std::chrono::seconds(second));
  EXPECT_EQ(worn.wear, 1);
  EXPECT_GT(rms(worn.vib), 2 * rms(fresh.vib));
  EXPECT_GT(worn.temp, fresh.temp + 10);
}

TEST(SimulatedPress, IsStoppedRepairedAndRunsAgain) {
  SimulatedPress press(10s, 5s, 1);
  const base::SteadyTime begin{1h};
  press.read(begin);
  press.read(begin + 20s);
  press.stop(begin + 21s);
  const auto standing = press.read(begin + 22s);
  EXPECT_TRUE(press.stopped());
  EXPECT_EQ(standing.speed, 0);
  EXPECT_LT(rms(standing.vib), 0.1);
  const auto running = press.read(begin + 27s);
  EXPECT_FALSE(press.stopped());
  EXPECT_EQ(running.wear, 0);
  EXPECT_GT(running.speed, 20);
}

TEST(SimulatedPress, TheSameSeedIsTheSamePress) {
  SimulatedPress one(10s, 5s, 7);
  SimulatedPress same(10s, 5s, 7);
  SimulatedPress other(10s, 5s, 8);
  const base::SteadyTime begin{1h};
  const auto vib = one.read(begin).vib;
  EXPECT_EQ(vib, same.read(begin).vib);
  EXPECT_NE(vib, other.read(begin).vib);
}

struct Made {
  explicit Made(const std::string& yaml) {
    auto document = config::Document::parse("machine: { simulate: press, " + yaml + " }\n", "test.yaml");
    if (!document) {
      report = document.error().detail;
      return;
    }
    config::Map root = document->root().map();
    config::Map map = root.get("machine").map();
    ingest::Context context;
    context.clock = &base::system_clock();
    source = make_simulate_source("machine", map.get("simulate"), map, context);
    map.done();
    report = document->report();
  }
  std::unique_ptr<ingest::Source> source;
  std::string report;
};

TEST(SimulateSource, EmitsWhatItsShapeSays) {
  Made made("every: 50ms, device: press-7, truth: true");
  ASSERT_EQ(made.report, "");
  rt::Loop loop;
  ingest::Sample got;
  ASSERT_TRUE(made.source->start(loop, ingest::Emit([&](std::vector<ingest::Sample> samples) {
                                   got = std::move(samples.at(0));
                                   loop.stop();
                                   return true;
                                 })));
  rt::Timer patience(loop);
  patience.arm_in(10s, [&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(got.device, "press-7");
  const ingest::Shape shape = made.source->shape();
  EXPECT_EQ(got.fields.size(), shape.fields.size());
  for (const ingest::Field& field : got.fields) {
    ASSERT_TRUE(shape.fields.contains(field.name)) << field.name;
    EXPECT_EQ(field.unit, shape.fields.at(field.name).unit);
  }
  EXPECT_THAT(made.source->status().detail, HasSubstr("simulation"));
  made.source->stop();
}

TEST(SimulateSource, CanBeStoppedAndNothingElse) {
  Made made("every: 1s");
  const auto write = [&](const char* point, ingest::Value value) {
    Result<ingest::Value> got = fail(Errc::internal, "no answer");
    made.source->write({"machine", point, std::move(value), 1s},
                       [&](Result<ingest::Value> result) { got = std::move(result); });
    return got;
  };
  const auto read = [&](const char* point) {
    Result<ingest::Value> got = fail(Errc::internal, "no answer");
    made.source->read({"machine", point, 1s}, [&](Result<ingest::Value> result) { got = std::move(result); });
    return got;
  };
  EXPECT_EQ(read("stop"), ingest::Value(false));
  EXPECT_EQ(write("stop", true), ingest::Value(true));
  EXPECT_EQ(read("stop"), ingest::Value(true));
  EXPECT_EQ(read("go").error().code, Errc::not_found);
  EXPECT_EQ(write("stop", false).error().code, Errc::invalid_argument);
  EXPECT_EQ(write("go", true).error().code, Errc::not_found);
}

TEST(SimulateSource, SaysWhatIsWrong) {
  EXPECT_THAT(Made("every: 1ms").report, HasSubstr("at least 50ms"));
  EXPECT_THAT(Made("life: 0s").report, HasSubstr("at least 1s"));
  EXPECT_THAT(Made("live: 3m").report, HasSubstr("did you mean 'life'"));
}

}  // namespace
}  // namespace penstock::ext
