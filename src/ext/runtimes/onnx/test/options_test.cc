// What `accelerators`, `threads`, `optimize` and `memory` do, and models of every kind of number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/registry.h"
#include "ext/runtimes/onnx/accelerators.h"
#include "ext/runtimes/onnx/library.h"
#include "ext/runtimes/onnx/model_memory.h"
#include "ext/runtimes/onnx/onnx_runtime.h"

namespace penstock::ext {
void register_runtimes_onnx(base::Registry& registry);
}

namespace penstock::ext::runtimes::onnx {
namespace {

// As the gateway does, before the library is opened.
[[maybe_unused]] const bool registered = [] {
  base::Registry registry;
  register_runtimes_onnx(registry);
  return true;
}();

namespace fs = std::filesystem;
using infer::Datatype;
using infer::RuntimeOptions;
using infer::Tensor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

#define REQUIRE_LIBRARY() \
  if (auto library = open_library(); !library) GTEST_SKIP() << library.error().detail

std::string path_of(const std::string& name, const std::string& version = "1") {
  return PENSTOCK_SOURCE_DIR "/tests/models/" + name + "/" + version + "/model.onnx";
}

Result<std::shared_ptr<const infer::Model>> load(const std::string& name, const RuntimeOptions& options = {}) {
  return OnnxRuntime().load({.path = path_of(name), .bytes = nullptr}, options);
}

template <class T>
Tensor tensor(Datatype datatype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  Tensor made{.name = {},
              .datatype = datatype,
              .shape = std::move(shape),
              .bytes = infer::Buffer(values.size() * sizeof(T)),
              .strings = {}};
  made.bytes.copy(values.data());
  return made;
}

template <class T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.values<T>().begin(), tensor.values<T>().end()};
}

Result<std::vector<Tensor>> run(const infer::Model& model, const std::vector<Tensor>& inputs,
                                const infer::RunOptions& options = {}) {
  std::vector<std::size_t> outputs;
  for (std::size_t i = 0; i < model.info().outputs.size(); ++i) outputs.push_back(i);
  return model.run(inputs, outputs, options);
}

Tensor square(std::int64_t side) {
  return tensor(Datatype::fp32, {side, side}, std::vector<float>(static_cast<std::size_t>(side * side), 0.01F));
}

TEST(OnnxAccelerators, TheCpuWorksAndTheOthersSayWhyNot) {
  REQUIRE_LIBRARY();
  auto all = accelerators();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.front().name, "cpu");
  EXPECT_TRUE(all.front().usable) << all.front().reason;
  std::size_t named = 0;
  for (const infer::Accelerator& accelerator : all) {
    EXPECT_NE(accelerator.usable, !accelerator.reason.empty()) << accelerator.name;
    named += accelerator.name == "cuda" || accelerator.name == "xnnpack" || accelerator.name == "openvino";
    // What is advertised serves a model.
    if (!accelerator.usable) continue;
    auto model = load("scale", {.accelerators = {accelerator.name}});
    ASSERT_TRUE(model) << model.error().detail;
    EXPECT_EQ((*model)->info().accelerator, accelerator.name);
    EXPECT_EQ((*model)->info().notice, "");
  }
  EXPECT_EQ(named, 3U);
}

TEST(OnnxAccelerators, TheNextInTheListRunsWhatTheFirstCannot) {
  REQUIRE_LIBRARY();
  auto model = load("scale", {.accelerators = {"abacus", "cpu"}});
  ASSERT_TRUE(model);
  EXPECT_EQ((*model)->info().accelerator, "cpu");
  EXPECT_THAT((*model)->info().notice, HasSubstr("there is no accelerator 'abacus'; known are cpu, tensorrt"));
  EXPECT_THAT((*model)->info().notice, HasSubstr("it runs on cpu"));
  for (const infer::Accelerator& accelerator : accelerators()) {
    if (accelerator.usable) continue;
    auto other = load("scale", {.accelerators = {accelerator.name}});
    ASSERT_TRUE(other) << accelerator.name;
    EXPECT_EQ((*other)->info().accelerator, "cpu");
    EXPECT_THAT((*other)->info().notice, HasSubstr(accelerator.name + " cannot be used: "));
  }
}

TEST(OnnxOptions, EveryLevelAndNumberOfThreadsGivesTheSameAnswer) {
  REQUIRE_LIBRARY();
  using Optimize = RuntimeOptions::Optimize;
  for (Optimize optimize : {Optimize::none, Optimize::basic, Optimize::extended, Optimize::all}) {
    for (std::size_t threads : {1U, 3U}) {
      auto model = load("scale", {.threads = threads, .optimize = optimize});
      ASSERT_TRUE(model);
      auto got = run(**model, {tensor<float>(Datatype::fp32, {1, 4}, {0, 1, 2, 3})});
      ASSERT_TRUE(got) << got.error().detail;
      EXPECT_THAT(values<float>(got->at(0)), ElementsAre(1, 3, 5, 7));
      EXPECT_THAT(values<float>(got->at(1)), ElementsAre(6));
    }
  }
}

TEST(OnnxOptions, TheLibraryKeepsNoDiaryOfItsOwn) {
  REQUIRE_LIBRARY();
  ASSERT_TRUE(load("scale"));
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    std::string file = fs::read_symlink(entry.path(), gone).string();
    EXPECT_EQ(file.find("onnxruntime.db"), std::string::npos) << file;
    EXPECT_EQ(file.find("mat-debug"), std::string::npos) << file;
  }
}

TEST(OnnxOptions, LoadsFromBytes) {
  REQUIRE_LIBRARY();
  std::ifstream file(path_of("scale", "2"), std::ios::binary);
  auto bytes =
      std::make_shared<const std::string>(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  auto model = OnnxRuntime().load({.path = "nowhere", .bytes = bytes}, {});
  ASSERT_TRUE(model) << model.error().detail;
  bytes.reset();
  auto got = run(**model, {tensor<float>(Datatype::fp32, {1, 4}, {0, 1, 2, 3})});
  ASSERT_TRUE(got);
  EXPECT_THAT(values<float>(got->at(0)), ElementsAre(1, 4, 7, 10));
}

TEST(OnnxOptions, AStopEndsARunThatIsUnderWay) {
  REQUIRE_LIBRARY();
  auto model = load("slow").value();
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    source.request_stop();
  });
  auto stopped = run(*model, {tensor<std::int64_t>(Datatype::int64, {1}, {1'000'000'000}), square(32)},
                     {.stop = source.get_token()});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Errc::cancelled);
  auto before = run(*model, {tensor<std::int64_t>(Datatype::int64, {1}, {1}), square(4)}, {.stop = source.get_token()});
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().code, Errc::cancelled);
  // The thread's next run is not stopped with it.
  EXPECT_TRUE(run(*model, {tensor<std::int64_t>(Datatype::int64, {1}, {1}), square(4)}));
}

TEST(OnnxMemory, ARunThatDoesNotFitIsRefusedWithTheSizesAndTheNextWorks) {
  REQUIRE_LIBRARY();
  auto model = load("big", {.memory_max = 1 << 20}).value();
  Tensor x = tensor<float>(Datatype::fp32, {3}, {1, 0, 2});
  auto refused = run(*model, {tensor<std::int64_t>(Datatype::int64, {1}, {1 << 20}), x});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::resource_exhausted) << refused.error().detail;
  EXPECT_THAT(refused.error().detail, HasSubstr("4194304 bytes"));
  EXPECT_THAT(refused.error().detail, HasSubstr("memory.max is 1048576"));
  auto fits = run(*model, {tensor<std::int64_t>(Datatype::int64, {1}, {1000}), x});
  ASSERT_TRUE(fits) << fits.error().detail;
  EXPECT_EQ(fits->at(0).elements(), 1000U);
  EXPECT_LE(model->memory_bytes(), 1U << 20);
}

TEST(OnnxMemory, AFileLargerThanTheBoundIsNotRead) {
  REQUIRE_LIBRARY();
  auto model = load("slow", {.memory_max = 100});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Errc::resource_exhausted);
  EXPECT_THAT(model.error().detail, HasSubstr("memory.max is 100"));
}

TEST(OnnxMemory, ShrinkGivesWorkingMemoryBackAfterTheRun) {
  REQUIRE_LIBRARY();
  auto model = load("big").value();
  std::vector<Tensor> inputs{tensor<std::int64_t>(Datatype::int64, {1}, {1 << 20}),
                             tensor<float>(Datatype::fp32, {1}, {1})};
  ASSERT_TRUE(run(*model, inputs));
  EXPECT_GE(model->memory_bytes(), 4U << 20);
  ASSERT_TRUE(run(*model, inputs, {.shrink = true}));
  EXPECT_LT(model->memory_bytes(), 1U << 20);
}

TEST(OnnxMemory, SizesAreBoundedUpwards) {
  auto memory = ModelMemory::make(0);
  ModelMemory::Use use(*memory);
  for (std::size_t size : {1U, 64U, 65U, 1024U, 1025U, 1152U, 1153U, 2048U, 2049U, 100'000U, 262'144U, 3'000'001U}) {
    std::uint64_t before = memory->held();
    void* data = ModelMemory::allocate(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 64, 0U);
    std::memset(data, 1, size);
    EXPECT_GE(memory->held() - before, size);
    EXPECT_LE(memory->held() - before, size + size / 8 + 64);
    ModelMemory::release(data);
    memory->trim();
  }
  EXPECT_EQ(memory->held(), 0U);
  EXPECT_THROW(ModelMemory::allocate(SIZE_MAX), std::bad_alloc);
}

TEST(OnnxMemory, BlocksOutliveTheirModelAndKeptOnesAreBounded) {
  auto memory = ModelMemory::make(0);
  void* last = nullptr;
  {
    ModelMemory::Use use(*memory);
    for (std::size_t size = 1000; size < 4'000'000; size += size / 7) ModelMemory::release(ModelMemory::allocate(size));
    EXPECT_LE(memory->held(), 2U * 4'100'000);
    last = ModelMemory::allocate(1000);
  }
  memory.reset();
  std::memset(last, 1, 1000);
  ModelMemory::release(last);
}

TEST(OnnxKinds, QuantisedModelsRun) {
  REQUIRE_LIBRARY();
  auto qdq = load("qdq").value();
  auto got = run(*qdq, {tensor<float>(Datatype::fp32, {2, 4}, {0, 1, -2, 3.5, 10, -10, 0.5, 40})});
  ASSERT_TRUE(got) << got.error().detail;
  // 80 is above what eight bits in steps of a half hold.
  EXPECT_THAT(values<float>(got->at(0)), ElementsAre(0, 2, -4, 7, 20, -20, 1, 63.5));
  auto qlinear = load("qlinear").value();
  EXPECT_EQ(qlinear->info().inputs[0].datatype, Datatype::uint8);
  auto whole = run(*qlinear, {tensor<std::uint8_t>(Datatype::uint8, {1, 4}, {128, 129, 126, 0})});
  ASSERT_TRUE(whole) << whole.error().detail;
  EXPECT_THAT(values<std::uint8_t>(whole->at(0)), ElementsAre(128, 130, 124, 0));
  EXPECT_THAT(values<std::int32_t>(whole->at(1)), ElementsAre(0, 4, -8, -512));
}

TEST(OnnxKinds, HalfPrecisionRuns) {
  REQUIRE_LIBRARY();
  auto model = load("half").value();
  std::vector<std::uint16_t> x{infer::to_half(1.5F), infer::to_half(-0.25F), infer::to_half(0), infer::to_half(40000)};
  auto got = run(*model, {tensor(Datatype::fp16, {1, 4}, x)});
  ASSERT_TRUE(got) << got.error().detail;
  std::vector<float> y;
  for (std::uint16_t bits : got->at(0).values<std::uint16_t>()) y.push_back(infer::from_half(bits));
  EXPECT_THAT(y, ElementsAre(3, -0.5, 0, std::numeric_limits<float>::infinity()));
}

TEST(OnnxKinds, StringsKeepTheirZeroBytes) {
  REQUIRE_LIBRARY();
  auto model = load("identity").value();
  std::vector<Tensor> inputs;
  for (const infer::TensorSpec& spec : model->info().inputs) {
    Tensor& input = inputs.emplace_back();
    input.datatype = spec.datatype;
    input.shape = {3};
    if (spec.datatype == Datatype::bytes) {
      input.strings = {std::string("a\0b", 3), "", std::string("\0", 1)};
    } else {
      input.bytes = infer::Buffer(3 * infer::element_bytes(spec.datatype));
      std::memset(input.bytes.data(), 0, input.bytes.size());
    }
  }
  auto got = run(*model, inputs);
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->back().strings, (std::vector<std::string>{std::string("a\0b", 3), "", std::string("\0", 1)}));
}

TEST(OnnxKinds, OutputsOfOtherShapesThanDeclaredArrive) {
  REQUIRE_LIBRARY();
  auto model = load("big").value();
  ASSERT_EQ(model->info().outputs[1].name, "places");
  for (int again = 0; again < 2; ++again) {
    // The declaration says as many places as numbers; there are only those that are not zero.
    auto got = run(*model,
                   {tensor<std::int64_t>(Datatype::int64, {1}, {2}), tensor<float>(Datatype::fp32, {4}, {0, 5, 0, 5})});
    ASSERT_TRUE(got) << got.error().detail;
    EXPECT_THAT(got->at(1).shape, ElementsAre(1, 2));
    EXPECT_THAT(values<std::int64_t>(got->at(1)), ElementsAre(1, 3));
  }
}

TEST(OnnxKinds, SequencesAreRefusedWithWhatToDo) {
  REQUIRE_LIBRARY();
  auto model = load("sequence");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Errc::unimplemented);
  EXPECT_THAT(model.error().detail, HasSubstr("output 'y' is no tensor; export the model with plain tensors"));
}

}  // namespace
}  // namespace penstock::ext::runtimes::onnx
