#include "ext/sources/modbus/modbus_source.h"

#include <gmock/gmock.h>

#include <future>

#include "ext/sources/modbus/test/modbus_server.h"

namespace penstock::ext::modbus {
namespace {

using namespace std::chrono_literals;
using ingest::Quality;
using ingest::Sample;
using ingest::Value;
using testing::HasSubstr;

// A source on a loop of the test's own thread; what it emits is kept.
class Running {
 public:
  explicit Running(const std::string& yaml) {
    auto document = config::Document::parse("plc: " + yaml + "\n", "test.yaml");
    if (!document) {
      report = document.error().detail;
      return;
    }
    config::Map root = document->root().map();
    config::Map map = root.get("plc").map();
    ingest::Context context;
    context.clock = &base::system_clock();
    source = make_modbus_source("plc", map.get("modbus"), map, context);
    map.done();
    report = document->report();
    if (!source) return;
    EXPECT_TRUE(source->start(loop, ingest::Emit([this](std::vector<Sample> samples) {
                                std::lock_guard lock(mutex_);
                                for (Sample& sample : samples) samples_.push_back(std::move(sample));
                                return true;
                              })));
  }
  ~Running() {
    if (source) source->stop();
  }

  // The first sample from now on for which `wanted` is true.
  template <class Wanted>
  Sample await(Wanted wanted) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < until) {
      {
        std::lock_guard lock(mutex_);
        for (Sample& sample : samples_) {
          if (wanted(sample)) return sample;
        }
        samples_.clear();
      }
      std::this_thread::sleep_for(2ms);
    }
    ADD_FAILURE() << "no such sample; " << source->status().detail;
    return {};
  }
  Sample next() {
    {
      std::lock_guard lock(mutex_);
      samples_.clear();
    }
    return await([](const Sample&) { return true; });
  }

  // All since it was asked last.
  std::vector<Sample> taken() {
    std::lock_guard lock(mutex_);
    return std::exchange(samples_, {});
  }

  Result<Value> write(const std::string& point, Value value, base::Duration timeout = 2s) {
    return answer([&](auto done) { source->write({"plc", point, std::move(value), timeout}, done); });
  }
  Result<Value> read(const std::string& point) {
    return answer([&](auto done) { source->read({"plc", point, 2s}, done); });
  }

  rt::Loop loop;
  std::unique_ptr<ingest::Source> source;
  std::string report;

 private:
  template <class Ask>
  Result<Value> answer(Ask ask) {
    Result<Value> got = fail(Errc::internal, "no answer");
    ask([&](Result<Value> result) {
      got = std::move(result);
      loop.post([this] { loop.stop(); });
    });
    rt::Timer patience(loop);
    patience.arm_in(10s, [this] { loop.stop(); });
    loop.run();
    return got;
  }

  std::mutex mutex_;
  std::vector<Sample> samples_;
};

std::string at(const ModbusServer& server) {
  return server.line.empty() ? fmt::format("modbus: \"tcp://127.0.0.1:{}\"", server.port)
                             : fmt::format("modbus: \"rtu://{}?baud=19200\"", server.line);
}

class ModbusSourceTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(TcpAndRtu, ModbusSourceTest, testing::Bool(),
                         [](const auto& wire) { return wire.param ? "Rtu" : "Tcp"; });

TEST_P(ModbusSourceTest, ReadsEveryTableInFewRequests) {
  ModbusServer server(GetParam());
  server.holding()[0] = 0x4148;
  server.holding()[2] = 250;
  server.inputs()[4] = 7;
  server.coils()[16] = 1;
  server.discrete()[2] = 1;
  Running plc("{ " + at(server) +
              ", every: 20ms, points: { temp: h40001:f32, level: { at: h40003, scale: 0.1, unit: m }, count: i30005, "
              "on: c17, door: d10003 } }");
  const Sample sample = plc.next();
  EXPECT_EQ(plc.report, "");
  EXPECT_EQ(sample.device, "plc");
  EXPECT_EQ(sample.quality, Quality::good);
  EXPECT_EQ(sample.find("temp")->value, Value(12.5));
  EXPECT_EQ(sample.find("level")->value, Value(25.0));
  EXPECT_EQ(sample.find("level")->unit, "m");
  EXPECT_EQ(sample.find("count")->value, Value(std::int64_t{7}));
  EXPECT_EQ(sample.find("on")->value, Value(true));
  EXPECT_EQ(sample.find("door")->value, Value(true));
  EXPECT_TRUE(plc.source->status().connected);
  const std::uint64_t samples = plc.source->status().messages;
  EXPECT_LE(static_cast<std::uint64_t>(server.requests), 4 * (samples + 1) + 4);
}

TEST_P(ModbusSourceTest, WritesAndReadsBack) {
  ModbusServer server(GetParam());
  server.holding()[9] = 0xf0;
  Running plc("{ " + at(server) +
              ", every: 20ms, points: { stop: c17:rw, speed: { at: h40001:f32:rw, scale: 2 }, bit: h40010.0:rw, text: "
              "h40020:text6:rw, fixed: h40002 } }");
  EXPECT_EQ(plc.write("stop", true), Value(true));
  EXPECT_EQ(server.coils()[16], 1);
  EXPECT_EQ(plc.write("speed", 25.0), Value(25.0));
  EXPECT_EQ(server.holding()[0], 0x4148);
  EXPECT_EQ(plc.write("bit", true), Value(true));
  EXPECT_EQ(server.holding()[9], 0xf1);
  EXPECT_EQ(plc.write("text", std::string("run")), Value(std::string("run")));
  EXPECT_EQ(plc.write("plc.stop", false), Value(false));
  EXPECT_EQ(plc.write("speed", std::string("fast")).error().code, Errc::invalid_argument);
  EXPECT_EQ(plc.write("fixed", 1.0).error().code, Errc::permission_denied);
  EXPECT_EQ(plc.write("nothing", 1.0).error().code, Errc::not_found);
}

TEST_P(ModbusSourceTest, IsAskedForOnePoint) {
  ModbusServer server(GetParam());
  Running plc(
      "{ " + at(server) +
      ", every: 1h, points: { stop: c17:rw, speed: { at: h40001:f32:rw, scale: 2 }, bit: h40010.0:rw, far: h45001 } "
      "}");
  EXPECT_EQ(plc.read("stop"), Value(false));
  server.coils()[16] = 1;
  server.holding()[0] = 0x4148;
  server.holding()[9] = 0xf1;
  EXPECT_EQ(plc.read("plc.stop"), Value(true));
  EXPECT_EQ(plc.read("speed"), Value(25.0));
  EXPECT_EQ(plc.read("bit"), Value(true));
  EXPECT_EQ(plc.read("nothing").error().code, Errc::not_found);
  EXPECT_EQ(plc.read("far").error().code, Errc::not_found) << "nor has the device";
  server.holding()[0] = 0x7fc0;
  EXPECT_EQ(plc.read("speed").error().code, Errc::data_loss) << "no number";
}

TEST(ModbusSource, ADeviceThatIsLeftAloneIsNotAskedForAPoint) {
  ModbusServer server;
  server.mute = true;
  Running plc("{ " + at(server) + ", every: 1h, timeout: 50ms, retries: 0, points: { x: h40001:rw } }");
  plc.await([](const Sample& sample) { return sample.quality == Quality::bad; });
  const int before = server.requests;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(plc.read("x"));
  EXPECT_LT(server.requests - before, 5);
  server.mute = false;
  Result<Value> read = fail(Errc::internal, "");
  for (int i = 0; i < 1000 && !read; ++i) {
    std::this_thread::sleep_for(5ms);
    read = plc.read("x");
  }
  EXPECT_EQ(read, Value(std::int64_t{0})) << "when its time has come";
}

TEST_P(ModbusSourceTest, ASilentDeviceIsBadAndComesBack) {
  ModbusServer server(GetParam());
  Running plc("{ " + at(server) + ", every: 20ms, timeout: 50ms, retries: 0, points: { x: h40001 } }");
  EXPECT_EQ(plc.next().quality, Quality::good);
  server.mute = true;
  const Sample bad = plc.await([](const Sample& sample) { return sample.quality == Quality::bad; });
  EXPECT_TRUE(bad.fields.empty());
  EXPECT_FALSE(plc.source->status().connected);
  EXPECT_THAT(plc.source->status().detail, HasSubstr("unit 1"));
  EXPECT_EQ(plc.write("x", 1.0).error().code, Errc::permission_denied);
  server.mute = false;
  plc.await([](const Sample& sample) { return sample.quality == Quality::good; });
}

TEST(ModbusSource, OneWrongAddressTakesNoOtherValueWithIt) {
  ModbusServer server;
  server.hole = 3;
  server.holding()[0] = 1;
  server.holding()[5] = 6;
  {
    Running plc("{ " + at(server) + ", every: 20ms, points: { a: h40001, f: h40006 } }");
    const Sample sample = plc.await([](const Sample& one) { return one.fields.size() == 2; });
    EXPECT_EQ(sample.quality, Quality::good);
  }
  Running plc("{ " + at(server) + ", every: 20ms, points: { a: h40001, d: h40004, f: h40006, g: h40005 } }");
  const Sample sample = plc.await([](const Sample& one) { return one.fields.size() == 3; });
  EXPECT_EQ(sample.quality, Quality::uncertain);
  EXPECT_EQ(sample.find("d"), nullptr);
  EXPECT_EQ(sample.find("f")->value, Value(std::int64_t{6}));
  EXPECT_TRUE(plc.source->status().connected);
}

TEST(ModbusSource, OneSilentUnitDoesNotHoldUpTheOthers) {
  ModbusServer server;
  server.units = 2;
  Running plc("{ " + at(server) +
              ", every: 10ms, timeout: 100ms, retries: 0, points: { x: h40001 }, devices: { a: { unit: 1 }, b: { unit: "
              "2, points: { y: h40002:rw } }, c: { unit: 3 } } }");
  plc.await([](const Sample& sample) { return sample.device == "c" && sample.quality == Quality::bad; });
  int others = 0;
  const auto until = std::chrono::steady_clock::now() + 400ms;
  while (std::chrono::steady_clock::now() < until) {
    if (plc.next().device != "c") ++others;
  }
  EXPECT_GT(others, 5);
  EXPECT_EQ(plc.write("b.y", std::int64_t{9}), Value(std::int64_t{9}));
  EXPECT_EQ(plc.write("y", std::int64_t{9}).error().code, Errc::not_found);
}

TEST(ModbusSource, ComesBackAfterTheServerWasGone) {
  auto server = std::make_unique<ModbusServer>();
  const int port = server->port;
  Running plc(fmt::format("{{ modbus: \"tcp://127.0.0.1:{}\", every: 20ms, points: {{ x: h40001:rw }} }}", port));
  plc.next();
  server.reset();
  plc.await([](const Sample& sample) { return sample.quality == Quality::bad; });
  auto lost = plc.write("x", 1.0);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, Errc::unavailable);
}

// On a serial line nothing but device, function and length says which request an answer belongs to.
TEST(ModbusSource, ALateAnswerIsNotTakenForThatOfAnotherRequest) {
  std::atomic<int> late = 1;
  ModbusServer server(true);
  server.holding()[0] = 1;
  server.holding()[500] = 2;
  server.before_answers([&](const Request& request) {
    if (request.address == 0 && late.fetch_sub(1) == 1) std::this_thread::sleep_for(700ms);
    return 0;
  });
  Running plc("{ " + at(server) + ", every: 10ms, timeout: 500ms, points: { a: h40001, b: h40501 } }");
  for (int i = 0; i < 10; ++i) {
    const Sample sample = plc.next();
    EXPECT_EQ(sample.find("a")->value, Value(std::int64_t{1}));
    EXPECT_EQ(sample.find("b")->value, Value(std::int64_t{2}));
  }
  EXPECT_LT(late, 1);
}

TEST(ModbusSource, AnAnswerToAnotherRequestEndsTheConnection) {
  std::atomic<bool> other = true;
  ModbusServer server;
  server.before_answers([&](const Request& request) {
    if (other) request.bytes[1] ^= 1;  // the transaction's number
    return 0;
  });
  Running plc("{ " + at(server) + ", every: 10ms, timeout: 200ms, retries: 0, points: { x: h40001 } }");
  EXPECT_EQ(plc.next().quality, Quality::bad);
  EXPECT_THAT(plc.source->status().detail, HasSubstr("an answer to another request"));
  other = false;
  plc.await([](const Sample& sample) { return sample.quality == Quality::good; });
  EXPECT_GT(server.connections, 1);
}

TEST(ModbusSource, AClosedConnectionIsOpenedAgainBeforeTheNextRequest) {
  ModbusServer server;
  server.closes = true;
  Running plc("{ " + at(server) + ", every: 200ms, retries: 0, points: { x: h40001 } }");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(plc.next().quality, Quality::good);
  EXPECT_GT(server.connections, 1);
}

TEST(ModbusSource, AConnectionThatBreaksAtOnceIsNotOpenedForEveryDevice) {
  ModbusServer server;
  server.drops = true;
  Running plc("{ " + at(server) +
              ", every: 10ms, points: { x: h40001 }, devices: { a: { unit: 1 }, b: { unit: 2 }, c: { unit: 3 }, d: { "
              "unit: 4 }, e: { unit: 5 } } }");
  std::set<std::string> bad;
  plc.await([&](const Sample& sample) {
    if (sample.quality == Quality::bad) bad.insert(sample.device);
    return bad.size() == 5;
  });
  EXPECT_LE(server.connections, 3);
  server.drops = false;
  plc.await([](const Sample& sample) { return sample.quality == Quality::good; });
}

// A server that has the first request and answers it when it may.
struct FirstAnswerHeld {
  FirstAnswerHeld() {
    server.before_answers([this, go = release.get_future().share()](const Request&) {
      if (first.exchange(false)) {
        asked.set_value();
        go.wait();
      }
      return 0;
    });
  }
  std::promise<void> asked;
  std::promise<void> release;
  std::atomic<bool> first = true;
  ModbusServer server;  // ends before what it uses
};

TEST(ModbusSource, AWriteWaitsForOneRequestAtMost) {
  FirstAnswerHeld held;
  ModbusServer& server = held.server;
  Running plc("{ " + at(server) + ", every: 10ms, points: { a: h1, b: h101, c: h201, d: h301:rw } }");
  held.asked.get_future().wait();
  plc.source->write({"plc", "d", 9.0, 5s}, [&](const Result<Value>& result) {
    EXPECT_EQ(result, Value(std::int64_t{9}));
    plc.loop.stop();
  });
  held.release.set_value();
  plc.loop.run();
  std::lock_guard lock(server.mutex);
  EXPECT_EQ(server.queries[1][7], 6);
  EXPECT_EQ(server.queries[2][7], 3);
}

TEST(ModbusSource, AWriteGoesBeforeWhatIsLookedAt) {
  FirstAnswerHeld held;
  ModbusServer& server = held.server;
  Running plc("{ " + at(server) + ", every: 1h, points: { a: h1, b: h101, d: h301:rw } }");
  held.asked.get_future().wait();
  int left = 2;
  const auto answered = [&](const Result<Value>& result) {
    EXPECT_TRUE(result);
    if (--left == 0) plc.loop.stop();
  };
  plc.source->read({"plc", "a", 5s}, answered);
  plc.source->write({"plc", "d", 9.0, 5s}, answered);
  held.release.set_value();
  plc.loop.run();
  std::lock_guard lock(server.mutex);
  EXPECT_EQ(server.queries[1][7], 6);
}

TEST(ModbusSource, ALookIsOneRequest) {
  ModbusServer server;
  Running plc("{ " + at(server) + ", every: 1h, timeout: 100ms, retries: 3, points: { x: h40001:rw } }");
  plc.next();
  server.mute = true;
  const int before = server.requests;
  EXPECT_FALSE(plc.read("x"));
  while (server.requests == before) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(server.requests, before + 1);
}

TEST(ModbusSource, ABusyDeviceIsAskedAgain) {
  std::atomic<int> busy = 0;
  ModbusServer server;
  server.before_answers(
      [&](const Request&) { return busy.fetch_add(1) % 3 == 0 ? MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY : 0; });
  Running plc("{ " + at(server) + ", every: 20ms, points: { x: h40001:rw } }");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(plc.next().quality, Quality::good);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(plc.write("x", std::int64_t{i}), Value(std::int64_t{i}));
  server.before_answers(
      [](const Request& one) { return one.function == 6 ? MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY : 0; });
  const auto refused = plc.write("x", std::int64_t{7}, 300ms);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("busy"));
  EXPECT_NE(server.holding()[0], 7);
}

TEST(ModbusSource, WhatADeviceAcceptedIsLookedAtUntilItIsDone) {
  std::atomic<int> reads = 0;
  ModbusServer server;
  server.before_answers([&](const Request& request) {
    if (request.function == 6) return int{MODBUS_EXCEPTION_ACKNOWLEDGE};
    if (reads.fetch_add(1) == 2) server.holding()[0] = 9;
    return 0;
  });
  Running plc("{ " + at(server) + ", every: 1h, points: { x: h40001:rw } }");
  EXPECT_EQ(plc.write("x", std::int64_t{9}), Value(std::int64_t{9}));
  EXPECT_EQ(reads, 3);
}

TEST(ModbusSource, SaysWhatADeviceMadeOfAWrite) {
  ModbusServer server;
  server.before_answers([&](const Request& request) {
    if (request.function == 3) server.holding()[0] = 7;
    return 0;
  });
  Running plc("{ " + at(server) + ", every: 20ms, points: { x: h40001:rw } }");
  EXPECT_EQ(plc.write("x", std::int64_t{9}, 300ms), Value(std::int64_t{7}));
}

TEST(ModbusSource, AGatewayThatMissesADeviceKeepsTheOthers) {
  ModbusServer server;
  server.before_answers([](const Request& one) { return one.unit == 2 ? MODBUS_EXCEPTION_GATEWAY_TARGET : 0; });
  Running plc("{ " + at(server) +
              ", every: 10ms, retries: 0, points: { x: h40001:rw }, devices: { a: { unit: 1 }, b: { unit: 2 } } }");
  plc.await([](const Sample& sample) { return sample.device == "b" && sample.quality == Quality::bad; });
  for (int others = 0; others < 20;) others += plc.next().device == "a";
  EXPECT_LT(server.asked(2), server.asked(1) / 2);
  EXPECT_EQ(server.connections, 1);
  EXPECT_EQ(plc.write("b.x", 1.0).error().code, Errc::data_loss);
}

TEST(ModbusSource, ADeviceThatGivesLessAtOnceIsAskedByHalves) {
  ModbusServer server;
  server.before_answers([](const Request& one) { return one.count > 40 ? MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE : 0; });
  Running plc("{ " + at(server) +
              ", every: 20ms, points: { a: h1:u16x20, b: h21:u16x20, c: h41:u16x20, d: h61:u16x20, e: h81:u16x20 } }");
  const Sample sample = plc.next();
  EXPECT_EQ(sample.quality, Quality::good);
  EXPECT_EQ(sample.fields.size(), 5U);
}

TEST(ModbusSource, AWriteThatBreaksOffMayHaveBeenMade) {
  ModbusServer server;
  Running plc("{ " + at(server) + ", every: 1h, points: { x: h40001:rw } }");
  plc.next();
  server.drops = true;
  EXPECT_EQ(plc.write("x", 1.0).error().code, Errc::data_loss) << "the connection was closed instead of an answer";
}

TEST(ModbusSource, AWriteThatCannotBeReadBackIsNoneThatFailed) {
  ModbusServer server;
  server.before_answers(
      [](const Request& one) { return one.function == 3 ? MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE : 0; });
  Running plc("{ " + at(server) + ", every: 1h, points: { x: h40001:rw } }");
  EXPECT_EQ(plc.write("x", 1.0).error().code, Errc::data_loss);
}

// A serial line is left alone for a `timeout` at the start.
TEST(ModbusPoller, NothingIsWrittenWhenItsTimeIsOver) {
  ModbusServer server(true);
  PollerOptions options{.address = *parse_address("rtu://" + server.line), .devices = {}, .timeout = 400ms};
  Device device{.name = "d", .every = {1h}, .limits = {}};
  ASSERT_TRUE(parse_point("h1:rw", device.points.emplace_back()));
  options.devices.push_back(device);
  auto poller = std::make_shared<Poller>(options, base::system_clock());
  std::promise<Result<Value>> answer;
  ASSERT_TRUE(poller->start([](const std::vector<Sample>&) { return true; }));
  poller->write(0, 0, 1.0, 50ms, [&](Result<Value> result) { answer.set_value(std::move(result)); });
  const auto refused = answer.get_future().get();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("nothing was written"));
  poller->stop();
  EXPECT_EQ(server.holding()[0], 0);
}

// The thread may be in a request that nothing can interrupt; whoever waited for it may be gone when it is over.
TEST(ModbusPoller, NobodyIsToldAnythingAfterItStopped) {
  ModbusServer server(true);
  server.mute = true;
  PollerOptions options{.address = *parse_address("rtu://" + server.line), .devices = {}, .timeout = 400ms};
  Device device{.name = "d", .every = {1h}, .limits = {}};
  ASSERT_TRUE(parse_point("h1:rw", device.points.emplace_back()));
  options.devices.push_back(device);
  auto poller = std::make_shared<Poller>(options, base::system_clock());
  ASSERT_TRUE(poller->start([](const std::vector<Sample>&) { return true; }));
  std::vector<Result<Value>> answers;
  const auto keep = [&](Result<Value> result) { answers.push_back(std::move(result)); };
  poller->write(0, 0, 1.0, 10s, keep);
  poller->write(0, 0, 2.0, 10s, keep);
  while (server.requests == 0) std::this_thread::sleep_for(1ms);
  poller->stop();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].error().code, Errc::data_loss) << "it was sent";
  EXPECT_EQ(answers[1].error().code, Errc::cancelled) << "it was not";
  poller->write(0, 0, 3.0, 10s, keep);
  EXPECT_EQ(answers.at(2).error().code, Errc::unavailable);
  // Its thread holds it until it ends.
  const std::weak_ptr<Poller> thread = poller;
  poller.reset();
  while (!thread.expired()) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(answers.size(), 3U);
}

TEST(ModbusSource, PacesAreKeptApart) {
  ModbusServer server;
  Running plc("{ " + at(server) + ", every: 10ms, points: { fast: h40001, slow: { at: h40500, every: 100ms } } }");
  std::this_thread::sleep_for(500ms);
  int fast = 0;
  int slow = 0;
  for (const Sample& sample : plc.taken()) {
    fast += sample.find("fast") != nullptr;
    slow += sample.find("slow") != nullptr;
  }
  EXPECT_GT(fast, 2 * slow);
  EXPECT_GT(slow, 0);
}

TEST(ModbusSource, StopsWhileItWaits) {
  ModbusServer server;
  server.mute = true;
  const auto begin = std::chrono::steady_clock::now();
  {
    Running plc("{ " + at(server) + ", timeout: 20s, points: { x: h40001 } }");
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST(ModbusSource, KnowsItsShape) {
  Running plc(
      "{ modbus: \"tcp://127.0.0.1:1\", every: 100ms, points: { t: { at: h1:f32, unit: degC }, on: c1, v: h5:u16x3 }, "
      "devices: { a: {}, b: { unit: 2 } } }");
  const ingest::Shape shape = plc.source->shape();
  EXPECT_FALSE(shape.open);
  EXPECT_EQ(shape.fields.at("t"), (ingest::FieldType{ingest::FieldType::Kind::number, "degC"}));
  EXPECT_EQ(shape.fields.at("on").kind, ingest::FieldType::Kind::boolean);
  EXPECT_EQ(shape.fields.at("v").kind, ingest::FieldType::Kind::array);
  EXPECT_EQ(shape.samples_per_second, 20);
}

TEST(ModbusSource, SaysWhatIsWrong) {
  const auto report = [](const std::string& rest) { return Running("{ " + rest + " }").report; };
  EXPECT_THAT(report("modbus: plc"), HasSubstr("tcp://host:502"));
  EXPECT_THAT(report("modbus: \"tcp://h:99999\", points: { x: h1 }"), HasSubstr("is no port"));
  EXPECT_THAT(report("modbus: \"rtu://ttyUSB0\", points: { x: h1 }"), HasSubstr("whole path"));
  EXPECT_THAT(report("modbus: \"rtu:///dev/x?bauds=1\", points: { x: h1 }"), HasSubstr("no option of a serial line"));
  EXPECT_THAT(report("modbus: \"tcp://h\""), HasSubstr("reads nothing"));
  EXPECT_THAT(report("modbus: \"tcp://h\", points: { x: q1 }"), HasSubstr("is no address"));
  EXPECT_THAT(report("modbus: \"tcp://h\", points: { x: { at: c1, scale: 2 } }"), HasSubstr("only numbers"));
  EXPECT_THAT(report("modbus: \"tcp://h\", points: { x: { at: h1, scale: 0 } }"), HasSubstr("another number than 0"));
  EXPECT_THAT(report("modbus: \"tcp://h\", every: 0s, points: { x: h1 }"), HasSubstr("at least 1ms"));
  EXPECT_THAT(report("modbus: \"tcp://h\", devices: { a: { unit: 300 } }, points: { x: h1 }"), HasSubstr("255"));
  EXPECT_THAT(report("modbus: \"tcp://h\", unit: 250, points: { x: h1 }"), HasSubstr("0 to 247, or 255"));
  EXPECT_THAT(report("modbus: \"rtu:///dev/x\", unit: 0, points: { x: h1 }"), HasSubstr("unit 1 to 247"));
  EXPECT_THAT(report("modbus: \"rtu:///dev/x\", devices: { a: { unit: 255, points: { x: h1 } } }"),
              HasSubstr("unit 1 to 247"));
  EXPECT_THAT(report("modbus: \"tcp://h\", devices: { a: { } }"), HasSubstr("has no points"));
  EXPECT_THAT(report("modbus: \"tcp://h\", pointz: { x: h1 }, points: { x: h1 }"), HasSubstr("did you mean 'points'"));
}

}  // namespace
}  // namespace penstock::ext::modbus
