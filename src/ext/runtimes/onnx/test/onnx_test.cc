// The real runtime behind the whole lane: request bytes in, answer bytes out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ext/runtimes/onnx/accelerators.h"
#include "ext/runtimes/onnx/library.h"
#include "infer/engine.h"
#include "infer/oip.h"
#include "json/value.h"

// The library keeps a few bytes of its own for the life of the process.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libonnxruntime"; }

namespace penstock::ext {
void register_runtimes_onnx(base::Registry& registry);
}

namespace penstock::ext::runtimes::onnx {
namespace {

namespace fs = std::filesystem;
namespace oip = infer::oip;
using ::testing::HasSubstr;

const fs::path kModels = PENSTOCK_SOURCE_DIR "/tests/models";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A gateway's model lane over the given model directories.
struct Lane {
  base::Registry registry;
  infer::Repository repository{registry};
  infer::Engine engine{repository, {}};

  Lane() { register_runtimes_onnx(registry); }

  void serve(std::vector<std::pair<std::string, fs::path>> models, std::size_t instances = 0) {
    std::vector<infer::ModelConfig> configs;
    for (auto& [name, path] : models) {
      infer::ModelConfig& config = configs.emplace_back();
      config.name = name;
      config.path = path.string();
      config.instances = {.min = instances, .max = instances};
    }
    repository.apply(std::move(configs));
  }

  // The answer's body, or the error's.
  std::string ask(const std::string& model, std::string_view body, std::optional<std::size_t> header = std::nullopt) {
    auto call = oip::parse_infer(body, {.json_bytes = header});
    if (!call) return oip::encode_error(call.error());
    call->request.model = model;
    auto response = engine.infer_here(std::move(call->request));
    return response ? oip::encode_infer(*call, *response).body : oip::encode_error(response.error());
  }
};

#define REQUIRE_LIBRARY() \
  if (auto library = open_library(); !library) GTEST_SKIP() << library.error().detail

TEST(OnnxRuntime, ServesAModel) {
  REQUIRE_LIBRARY();
  Lane lane;
  lane.serve({{"scale", kModels / "scale"}});
  EXPECT_EQ(
      lane.ask("scale", R"({"id":"7","inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0,1,2,-0.5]}]})"),
      R"({"model_name":"scale","model_version":"2","id":"7","outputs":[)"
      R"({"name":"y","datatype":"FP32","shape":[1,4],"data":[1.0,4.0,7.0,-0.5]},)"
      R"({"name":"total","datatype":"FP32","shape":[],"data":[2.5]}]})");
  auto served = lane.repository.find("scale", "").value();
  EXPECT_EQ(
      oip::encode_model("scale", lane.repository.ready_versions("scale"), served->model->info()),
      R"({"name":"scale","versions":["2"],"platform":"onnxruntime_onnx",)"
      R"("inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],)"
      R"("outputs":[{"name":"y","datatype":"FP32","shape":[-1,4]},{"name":"total","datatype":"FP32","shape":[]}]})");
}

TEST(OnnxRuntime, CarriesEveryDatatypeUnchanged) {
  REQUIRE_LIBRARY();
  Lane lane;
  lane.serve({{"identity", kModels / "identity"}});
  std::string inputs;
  std::vector<std::array<std::string, 3>> kinds{{"bool", "BOOL", "true,false"},
                                                {"u8", "UINT8", "0,255"},
                                                {"u16", "UINT16", "0,65535"},
                                                {"u32", "UINT32", "0,4294967295"},
                                                {"u64", "UINT64", "0,18446744073709551615"},
                                                {"i8", "INT8", "-128,127"},
                                                {"i16", "INT16", "-32768,32767"},
                                                {"i32", "INT32", "-2147483648,2147483647"},
                                                {"i64", "INT64", "-9223372036854775808,9007199254740993"},
                                                {"f16", "FP16", "0.5,-2.0"},
                                                {"f32", "FP32", "0.1,3.4028235e+38"},
                                                {"f64", "FP64", "0.30000000000000004,5e-324"},
                                                {"bf16", "BF16", "1.0,-3.0"},
                                                {"bytes", "BYTES", "\"a\",\"\xC3\xA9\""}};
  for (const auto& [name, datatype, data] : kinds) {
    inputs += fmt::format(R"({}{{"name":"{}","shape":[2],"datatype":"{}","data":[{}]}})", inputs.empty() ? "" : ",",
                          name, datatype, data);
  }
  std::string answer = lane.ask("identity", R"({"inputs":[)" + inputs + "]}");
  for (const auto& [name, datatype, data] : kinds) {
    EXPECT_THAT(answer, HasSubstr(fmt::format(R"({{"name":"{}_out","datatype":"{}","shape":[2],"data":[{}]}})", name,
                                              datatype, data)));
  }
  std::string empty;
  for (const auto& [name, datatype, data] : kinds) {
    empty += fmt::format(R"({}{{"name":"{}","shape":[0],"datatype":"{}","data":[]}})", empty.empty() ? "" : ",", name,
                         datatype);
  }
  EXPECT_THAT(lane.ask("identity", R"({"inputs":[)" + empty + "]}"),
              HasSubstr(R"("name":"bytes_out","datatype":"BYTES","shape":[0],"data":[])"));
}

TEST(OnnxRuntime, TurnsTheRuntimesRefusalsIntoErrors) {
  REQUIRE_LIBRARY();
  Lane lane;
  lane.serve({{"slow", kModels / "slow"}});
  // The graph multiplies the matrix by itself: 2 x 3 fits the declaration but not the operator.
  std::string answer = lane.ask("slow", R"({"inputs":[{"name":"times","shape":[1],"datatype":"INT64","data":[1]},)"
                                        R"({"name":"x","shape":[2,3],"datatype":"FP32","data":[1,2,3,4,5,6]}]})");
  EXPECT_THAT(answer, HasSubstr(R"({"error":"the model could not run)"));
  EXPECT_THAT(answer, ::testing::Not(HasSubstr("[ONNXRuntimeError]")));
}

TEST(OnnxRuntime, ReportsDamagedFiles) {
  REQUIRE_LIBRARY();
  std::string pattern = (fs::temp_directory_path() / "penstock-onnx-XXXXXX").string();
  fs::path root = ::mkdtemp(pattern.data());
  std::string good = read(kModels / "scale/1/model.onnx");
  ASSERT_FALSE(good.empty());
  std::vector<std::pair<std::string, std::string>> files{
      {"empty", ""}, {"cut", good.substr(0, good.size() / 2)}, {"text", "this is no model"}, {"good", good}};
  std::vector<std::pair<std::string, fs::path>> models;
  for (const auto& [name, content] : files) {
    fs::create_directories(root / name / "1");
    std::ofstream(root / name / "1/model.onnx", std::ios::binary) << content;
    models.emplace_back(name, root / name);
  }
  Lane lane;
  lane.serve(models);
  for (const char* name : {"empty", "cut", "text"}) {
    auto served = lane.repository.find(name, "");
    ASSERT_FALSE(served) << name;
    EXPECT_EQ(served.error().code, Errc::unavailable);
    EXPECT_THAT(served.error().detail, HasSubstr("not a usable ONNX model")) << name;
  }
  EXPECT_TRUE(lane.repository.find("good", ""));
  fs::remove_all(root);
}

TEST(OnnxRuntime, AMissingLibraryIsAReasonAndNoCrash) {
  ::setenv("PENSTOCK_ORT_LIBRARY", "/nowhere/libonnxruntime.so.1", 1);
  Lane lane;
  lane.serve({{"scale", kModels / "scale"}});
  auto served = lane.repository.find("scale", "");
  std::string line = describe();
  ::unsetenv("PENSTOCK_ORT_LIBRARY");
  ASSERT_FALSE(served);
  EXPECT_EQ(served.error().code, Errc::unavailable);
  EXPECT_THAT(served.error().detail, HasSubstr("/nowhere/libonnxruntime.so.1"));
  EXPECT_THAT(served.error().detail, HasSubstr("Install it"));
  EXPECT_THAT(line, HasSubstr("onnxruntime: ONNX Runtime cannot be loaded"));
}

TEST(OnnxRuntime, SaysItsVersion) {
  REQUIRE_LIBRARY();
  EXPECT_THAT(describe(), ::testing::MatchesRegex("onnxruntime [0-9]+\\.[0-9]+\\.[0-9]+, runs on cpu.*"));
}

TEST(OnnxRuntime, RunsFromManyThreadsWhileVersionsChange) {
  REQUIRE_LIBRARY();
  Lane lane;
  lane.serve({{"scale", kModels / "scale"}});
  std::atomic<int> wrong = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        std::string answer =
            lane.ask("scale", R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,1,1,1]}]})");
        bool ok = answer.find("[4.0,4.0,4.0,4.0]") != std::string::npos ||
                  answer.find("[3.0,3.0,3.0,3.0]") != std::string::npos;
        if (!ok) ++wrong;
      }
    });
  }
  std::thread reloader([&] {
    for (int i = 0; !stop; ++i) lane.serve({{"scale", kModels / (i % 2 == 0 ? "scale/1" : "scale")}});
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  reloader.join();
  EXPECT_EQ(wrong, 0);
}

// --- public cases ----------------------------------------------------------------------------------------------------

fs::path shared_cases() {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  return fs::path(shared != nullptr ? shared : PENSTOCK_SOURCE_DIR "/../shared") / "data/onnx";
}

// Data of row-major order as arrays nested by shape.
json::Value nested(const json::Array& flat, const json::Array& shape, std::size_t dimension, std::size_t& at) {
  json::Array level;
  auto size = static_cast<std::size_t>(shape[dimension].as_int64());
  for (std::size_t i = 0; i < size; ++i) {
    if (dimension + 1 == shape.size()) {
      level.push_back(flat[at++]);
    } else {
      level.push_back(nested(flat, shape, dimension + 1, at));
    }
  }
  return level;
}

bool near(const json::Value& got, const json::Value& want, double relative, double absolute) {
  if (!want.is_double()) return got == want;
  if (!got.is_number()) return false;
  double expected = want.as_double();
  return std::fabs(got.to_number<double>() - expected) <= absolute + relative * std::fabs(expected);
}

void expect_outputs(const std::string& name, const json::Value& got, const json::Value& want,
                    const json::Value& tolerance) {
  EXPECT_EQ(got.at("id"), want.at("id")) << name;
  const json::Array& expected = want.at("outputs").as_array();
  const json::Array& given = got.at("outputs").as_array();
  ASSERT_EQ(given.size(), expected.size()) << name;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (const char* member : {"name", "datatype", "shape"})
      EXPECT_EQ(given[i].at(member), expected[i].at(member)) << name;
    const json::Array& values = given[i].at("data").as_array();
    const json::Array& wanted = expected[i].at("data").as_array();
    ASSERT_EQ(values.size(), wanted.size()) << name;
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      EXPECT_TRUE(near(values[k], wanted[k], tolerance.at("rtol").to_number<double>(),
                       tolerance.at("atol").to_number<double>()))
          << name << ": " << json::dump(values[k]) << " is not " << json::dump(wanted[k]);
    }
  }
}

TEST(OnnxCases, AnswerAsPublished) {
  REQUIRE_LIBRARY();
  fs::path root = shared_cases();
  if (!fs::exists(root / "manifest.json")) GTEST_SKIP() << "no public ONNX cases at " << root;
  json::Value manifest = json::parse(read(root / "manifest.json")).value();
  Lane lane;
  std::vector<std::pair<std::string, fs::path>> models;
  for (const json::Value& entry : manifest.as_array()) {
    std::string name(entry.at("name").as_string());
    models.emplace_back(name, root / "models" / name);
  }
  lane.serve(models);
  std::size_t refused = 0;
  for (const json::Value& entry : manifest.as_array()) {
    std::string name(entry.at("name").as_string());
    json::Value want = json::parse(read(root / "cases" / name / "response.json")).value();
    std::string flat = read(root / "cases" / name / "request.json");
    // The manifest names the models that this runtime cannot take everywhere: those say why.
    auto served = lane.repository.find(name, "");
    if (!served && entry.at("ort_1_30_cpu") != "ok") {
      EXPECT_THAT(served.error().detail, ::testing::AnyOf(HasSubstr("newer ONNX opset"), HasSubstr("localedef")))
          << name;
      ++refused;
      continue;
    }
    auto answer = json::parse(lane.ask(name, flat));
    ASSERT_TRUE(answer && answer->as_object().contains("outputs")) << name << ": " << lane.ask(name, flat);
    expect_outputs(name, *answer, want, entry.at("tol"));
    json::Value request = json::parse(flat).value();
    for (json::Value& input : request.at("inputs").as_array()) {
      std::size_t at = 0;
      json::Array shape = input.at("shape").as_array();
      if (shape.size() > 1) input.as_object()["data"] = nested(json::Array(input.at("data").as_array()), shape, 0, at);
    }
    expect_outputs(name + " nested", json::parse(lane.ask(name, json::dump(request))).value(), want, entry.at("tol"));
    json::Value metadata = json::parse(read(root / "cases" / name / "metadata.json")).value();
    json::Value ours = json::parse(oip::encode_model(name, {}, (*served)->model->info())).value();
    EXPECT_EQ(ours.at("inputs"), metadata.at("inputs")) << name;
    EXPECT_EQ(ours.at("outputs"), metadata.at("outputs")) << name;
  }
  EXPECT_LT(refused, models.size() / 4);
}

}  // namespace
}  // namespace penstock::ext::runtimes::onnx
