// Models in a process of their own, with a runtime whose models misbehave on request.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "infer/isolated_message.h"
#include "infer/isolated_model.h"
#include "infer/nursery.h"

namespace penstock::infer {
namespace {

using namespace std::chrono_literals;
using isolated::Place;
using isolated::SharedRegion;
using isolated::Take;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor numbers(std::vector<std::int64_t> values) {
  Tensor tensor{.name = "x",
                .datatype = Datatype::int64,
                .shape = {static_cast<std::int64_t>(values.size())},
                .bytes = Buffer(values.size() * sizeof(std::int64_t)),
                .strings = {}};
  tensor.bytes.copy(values.data());
  return tensor;
}

// What the first number of a run asks for.
enum Wish : std::int64_t { kDouble, kCrash, kHang, kStop, kRefuse, kSecret, kExit };

class WilfulModel : public Model {
 public:
  WilfulModel() {
    info_ = {.platform = "wilful",
             .inputs = {{"x", Datatype::int64, {-1}}, {"text", Datatype::bytes, {-1}}},
             .outputs = {{"y", Datatype::int64, {-1}}, {"text", Datatype::bytes, {-1}}}};
  }
  const ModelInfo& info() const override { return info_; }
  std::uint64_t memory_bytes() const override { return 4711; }
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                  const RunOptions& options) const override {
    switch (inputs[0].values<std::int64_t>()[0]) {
      case kCrash:
        ::signal(SIGSEGV, SIG_DFL);  // a sanitizer has its own
        ::raise(SIGSEGV);
        break;
      case kHang:
        while (true) ::pause();
      case kStop:
        while (!options.stop.stop_requested()) std::this_thread::sleep_for(1ms);
        return fail(Errc::cancelled, "stopped");
      case kRefuse: return fail(Errc::invalid_argument, "not\nthat");
      case kSecret: return fail(Errc::internal, std::getenv("PENSTOCK_TEST_SECRET") == nullptr ? "hidden" : "seen");
      case kExit: ::_exit(3);
      default: break;
    }
    std::vector<Tensor> result;
    for (std::size_t place : outputs) {
      Tensor tensor = inputs[place];
      tensor.name = info_.outputs[place].name;
      for (std::int64_t& value : tensor.values<std::int64_t>()) value *= 2;
      result.push_back(std::move(tensor));
    }
    return result;
  }

 private:
  ModelInfo info_;
};

class WilfulRuntime : public Runtime {
 public:
  Result<std::shared_ptr<const Model>> load(const ModelFile& file, const RuntimeOptions&) override {
    std::string content;
    if (file.bytes) {
      content = *file.bytes;
    } else {
      std::ifstream(file.path) >> content;
    }
    if (content == "crash") ::raise(SIGABRT);
    if (content == "beside") {
      // The weights come with it, and what it came in is gone.
      std::vector<std::string> names;
      for (const auto& [name, bytes] : file.beside) names.push_back(fmt::format("{}={}", name, *bytes));
      std::string held;
      for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code error;
        std::string target = std::filesystem::read_symlink(entry, error).string();
        if (target.find("penstock-model") != std::string::npos) held = ", and still " + target;
      }
      return fail(Errc::data_loss, fmt::format("{}{}", fmt::join(names, ","), held));
    }
    if (content == "good") return std::make_shared<WilfulModel>();
    return fail(Errc::data_loss, "not a usable model");
  }
};

// The nursery of the tests is a fork of their program, which has no command for it.
pid_t fork_nursery(int socket) {
  pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::unsetenv("PENSTOCK_TEST_SECRET");
  ::dup2(socket, 3);
  ::close_range(4, ~0U, 0);
  base::Registry registry;
  registry.add("wilful", RuntimeFactory{.file_name = "model.txt",
                                        .make = [] { return std::make_unique<WilfulRuntime>(); },
                                        .describe = [] { return std::string("wilful"); }});
  ::_exit(isolated::serve_nursery(3, registry, [](const std::string&) { return isolated::Confinement(); }));
}

class IsolatedModelTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { isolated::Nursery::instance().launch_by(fork_nursery); }
  static Result<std::shared_ptr<const Model>> load(const std::string& content,
                                                   base::Duration run_max = kIsolatedRunMax) {
    return load_isolated("wilful", {.path = "m/model.txt", .bytes = std::make_shared<const std::string>(content)}, {},
                         run_max);
  }
  static Result<std::vector<Tensor>> run(const Model& model, std::vector<std::int64_t> values,
                                         std::stop_token stop = {}) {
    std::vector<Tensor> inputs{numbers(std::move(values))};
    inputs.push_back({.name = "text",
                      .datatype = Datatype::bytes,
                      .shape = {2},
                      .bytes = {},
                      .strings = {std::string("a\0b", 3), ""}});
    std::vector<std::size_t> outputs{0, 1};
    return model.run(inputs, outputs, {.stop = std::move(stop)});
  }
  // The answer of a model that was started again.
  static void expect_recovery(const Model& model) {
    for (int i = 0; i < 1000; ++i) {
      if (run(model, {kDouble, 4})) return;
      std::this_thread::sleep_for(10ms);
    }
    FAIL() << "it did not come back";
  }
};

TEST_F(IsolatedModelTest, AnswersAsTheModelDoes) {
  auto model = load("good");
  ASSERT_TRUE(model) << model.error().detail;
  EXPECT_EQ((*model)->info().platform, "wilful");
  for (int again = 0; again < 3; ++again) {
    auto got = run(**model, {kDouble, 21, -1});
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_THAT(got->at(0).values<std::int64_t>(), ElementsAre(0, 42, -2));
    EXPECT_EQ(got->at(0).name, "y");
    EXPECT_EQ(got->at(1).strings, (std::vector<std::string>{std::string("a\0b", 3), ""}));
  }
  EXPECT_EQ((*model)->memory_bytes(), 4711U);
}

TEST_F(IsolatedModelTest, LargeTensorsGrowTheSharedMemory) {
  auto model = load("good").value();
  for (std::size_t size : {10U, 5'000'000U, 10U, 300'000U}) {
    std::vector<std::int64_t> values(size, 7);
    values[0] = kDouble;
    auto got = run(*model, values);
    ASSERT_TRUE(got) << got.error().detail;
    ASSERT_EQ(got->at(0).elements(), size);
    EXPECT_EQ(got->at(0).values<std::int64_t>()[size - 1], 14);
  }
}

TEST_F(IsolatedModelTest, ACrashIsOneFailedRunAndANewProcess) {
  auto model = load("good").value();
  auto crashed = run(*model, {kCrash});
  ASSERT_FALSE(crashed);
  EXPECT_EQ(crashed.error().code, Errc::unavailable);
  EXPECT_THAT(crashed.error().detail, HasSubstr("the model's process ended by signal 11 (Segmentation fault)"));
  expect_recovery(*model);
  auto ended = run(*model, {kExit});
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().detail, HasSubstr("ended with status 3"));
  expect_recovery(*model);
}

TEST_F(IsolatedModelTest, ARunIsStoppedAndOneThatDoesNotStopIsEnded) {
  auto model = load("good").value();
  for (Wish wish : {kStop, kHang}) {
    std::stop_source source;
    std::jthread stopper([&] {
      std::this_thread::sleep_for(50ms);
      source.request_stop();
    });
    auto stopped = run(*model, {wish}, source.get_token());
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Errc::cancelled) << stopped.error().detail;
    if (wish == kStop) EXPECT_TRUE(run(*model, {kDouble})) << "the next run was stopped with it";
  }
  expect_recovery(*model);
}

TEST_F(IsolatedModelTest, ARunThatNobodyStopsEndsAfterItsTime) {
  auto model = load("good", 100ms).value();
  for (Wish wish : {kStop, kHang}) {
    auto late = run(*model, {wish});
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Errc::deadline_exceeded) << late.error().detail;
    if (wish == kStop) EXPECT_TRUE(run(*model, {kDouble})) << "the next run was stopped with it";
  }
  expect_recovery(*model);
}

// So many descriptors are left to this process while it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(std::size_t left) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit fewer{200, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &fewer);
    for (int fd = 0; (fd = ::dup(STDERR_FILENO)) >= 0;) taken_.emplace_back(fd);
    taken_.resize(taken_.size() - left);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
  std::vector<isolated::Descriptor> taken_;
};

TEST_F(IsolatedModelTest, AModelThatCannotStartIsNoHarmToOthers) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP() << "the sanitizer needs descriptors of its own for its checks";
#endif
#endif
  auto model = load("good").value();
  ASSERT_TRUE(run(*model, {kDouble, 1}));
  // Enough for a nursery, not for a worker: the model's bytes, what wakes, one pair of sockets.
  for (std::size_t left : {1U, 2U, 3U, 4U}) {
    FewDescriptors few(left);
    auto another = load("good");
    ASSERT_FALSE(another);
    EXPECT_EQ(another.error().code, Errc::resource_exhausted) << another.error().detail;
  }
  for (int i = 0; i < 30; ++i) {
    EXPECT_TRUE(run(*model, {kDouble, 1}));
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_TRUE(load("good"));
}

TEST_F(IsolatedModelTest, ANurseryThatIsGoneIsStartedAgain) {
  auto model = load("good").value();
  std::ifstream children(fmt::format("/proc/self/task/{}/children", ::getpid()));
  int killed = 0;
  for (pid_t child = 0; children >> child; ++killed) ::kill(child, SIGKILL);
  ASSERT_GT(killed, 0);
  expect_recovery(*model);
}

TEST(PacketSocket, ASideThatDoesNotReadHoldsNobody) {
  auto ends = isolated::make_pair().value();
  std::string packet(64 << 10, 'x');
  int waiting = 0;
  Result<void> sent;
  while (waiting < 1000 && (sent = isolated::send(ends[0].get(), packet))) ++waiting;
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::deadline_exceeded);
  std::jthread reader([&] {
    std::this_thread::sleep_for(20ms);
    for (int i = 0; i < waiting; ++i) EXPECT_TRUE(isolated::receive(ends[1].get()));
  });
  EXPECT_TRUE(isolated::send(ends[0].get(), "x")) << "there is room again";
}

TEST_F(IsolatedModelTest, RefusalsOfTheModelArriveInOneLine) {
  auto model = load("good").value();
  auto refused = run(*model, {kRefuse});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid_argument);
  EXPECT_EQ(refused.error().detail, "not that");
  EXPECT_TRUE(run(*model, {kDouble}));
}

TEST_F(IsolatedModelTest, ManyThreadsRunAtOnceWhileOneCrashes) {
  auto good = load("good").value();
  auto bad = load("good").value();
  std::atomic<int> failed{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 200; ++n) failed += !run(*good, {kDouble, n});
      });
    }
    for (int n = 0; n < 3; ++n) {
      EXPECT_FALSE(run(*bad, {kCrash}));
      expect_recovery(*bad);
    }
  }
  EXPECT_EQ(failed, 0);
}

TEST_F(IsolatedModelTest, ABrokenFileIsTheRuntimesRefusalAndACrashWhileLoadingIsNamed) {
  auto broken = load("what is this");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Errc::data_loss);
  auto crash = load("crash");
  ASSERT_FALSE(crash);
  EXPECT_EQ(crash.error().code, Errc::unavailable);
  EXPECT_THAT(crash.error().detail, HasSubstr("ended by signal 6 (Aborted) while it loaded the model"));
  auto unknown = load_isolated("none", {.path = "x", .bytes = nullptr}, {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::unimplemented);
}

TEST_F(IsolatedModelTest, WeightsThatWereCheckedAreHandedOver) {
  auto text = [](const char* content) { return std::make_shared<const std::string>(content); };
  auto told = load_isolated(
      "wilful", {.path = "m/model.txt", .bytes = text("beside"), .beside = {{"a.bin", text("one")}, {"b/c", text("")}}},
      {});
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().detail, "a.bin=one,b/c=");
}

TEST_F(IsolatedModelTest, SeesNoSecretsOfTheEnvironment) {
  ::setenv("PENSTOCK_TEST_SECRET", "sesame", 1);
  auto model = load("good").value();
  auto told = run(*model, {kSecret});
  ::unsetenv("PENSTOCK_TEST_SECRET");
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().detail, "hidden");
}

// ---- what the other side may say

Tensor take_one(SharedRegion& region, const Place& place) {
  return take(region.bytes(), place, "t", Take::copy).value();
}

TEST(IsolatedMessage, PlacesOutsideTheMemoryAndFalseSizesAreRefused) {
  auto region = SharedRegion::make().value();
  std::uint64_t size = region.bytes().size();
  EXPECT_EQ(take_one(region, {Datatype::fp32, {2, 3}, 64, 24}).elements(), 6U);
  EXPECT_EQ(take_one(region, {Datatype::fp32, {0}, size, 0}).elements(), 0U);
  std::vector<Place> wrong{{Datatype::fp32, {2, 3}, size, 24},
                           {Datatype::fp32, {2, 3}, size - 20, 24},
                           {Datatype::fp32, {2, 3}, UINT64_MAX - 10, 24},
                           {Datatype::fp32, {2, 3}, 0, UINT64_MAX},
                           {Datatype::fp32, {2, 3}, 0, 20},
                           {Datatype::fp32, {2, 3}, 0, 28},
                           {Datatype::fp32, {2, 3}, 2, 24},
                           {Datatype::fp32, {-1}, 0, 4},
                           {Datatype::int64, {INT64_MAX, 16}, 0, 0},
                           {Datatype::uint8, std::vector<std::int64_t>(33, 1), 0, 1},
                           {Datatype::bytes, {1}, 0, 3},
                           {Datatype::bytes, {2}, 0, 4},
                           {Datatype::bytes, {INT64_MAX}, 0, 64}};
  for (const Place& place : wrong) {
    auto taken = take(region.bytes(), place, "t", Take::copy);
    ASSERT_FALSE(taken) << format_shape(place.shape) << " " << place.offset << " " << place.size;
    EXPECT_EQ(taken.error().code, Errc::protocol_error);
  }
}

TEST(IsolatedMessage, PlacesOverEachOtherAreRefused) {
  auto region = SharedRegion::make().value();
  std::uint64_t size = region.bytes().size();
  auto check = [&](std::vector<Place> places) { return check_places(region.bytes(), places).has_value(); };
  auto half = static_cast<std::int64_t>(size / 2);
  Place first{Datatype::uint8, {half}, 0, size / 2};
  EXPECT_TRUE(check({first, {Datatype::uint8, {half}, size / 2, size / 2}}));
  EXPECT_TRUE(check({first, first}));
  EXPECT_FALSE(check({first, first, {Datatype::uint8, {1}, 0, 1}}));
  EXPECT_FALSE(check({{Datatype::uint8, {1}, 0, UINT64_MAX}}));
  EXPECT_TRUE(check({{Datatype::bytes, {1000}, 0, 4000}}));
  EXPECT_FALSE(check({{Datatype::bytes, {1 << 27}, 0, 4000}})) << "2 GiB of std::string";
}

TEST(IsolatedMessage, ThisSideGrowsTheMemoryNoFurtherThanItMay) {
  auto whole = SharedRegion::make().value();
  auto region = SharedRegion::open(::dup(whole.fd()), 100'000).value();
  EXPECT_TRUE(region.reserve(100'000));
  EXPECT_FALSE(region.reserve(100'001));
  EXPECT_TRUE(whole.reserve(1'000'000));
  EXPECT_TRUE(region.follow());
  EXPECT_EQ(region.bytes().size(), whole.bytes().size());
}

TEST(IsolatedMessage, MessagesComeBackAsTheyWere) {
  isolated::LoadOrder order{
      .runtime = "onnx", .path = "a/b.onnx", .parts = {{"", 7}, {"w.bin", 1ULL << 40}}, .options = {}};
  order.options = {.accelerators = {"xnnpack", "cpu"}, .threads = 3, .memory_max = 12, .shrink = true};
  auto back = isolated::decode(isolated::encode(order));
  ASSERT_TRUE(back);
  EXPECT_EQ(std::get<isolated::LoadOrder>(*back), order);
  std::string packet = isolated::encode(order);
  for (std::size_t cut = 0; cut < packet.size(); ++cut) EXPECT_FALSE(isolated::decode(packet.substr(0, cut))) << cut;
  EXPECT_FALSE(isolated::decode(packet + "x"));
}

TEST(IsolatedMessage, MemoryThatCouldBeTakenAwayIsRefused) {
  int fd = ::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(::ftruncate(fd, 4096), 0);
  EXPECT_FALSE(SharedRegion::open(fd));
  auto region = SharedRegion::make().value();
  EXPECT_NE(::ftruncate(region.fd(), 0), 0);
  EXPECT_FALSE(region.reserve(SharedRegion::kMax + 1));
}

}  // namespace
}  // namespace penstock::infer
