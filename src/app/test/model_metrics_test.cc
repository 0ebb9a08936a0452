#include "app/model_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "infer/engine.h"

namespace penstock::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Gives back what it got.
class Echo : public infer::Model {
 public:
  Echo() {
    info_.inputs = {{"x", infer::Datatype::fp32, {-1}}};
    info_.outputs = {{"y", infer::Datatype::fp32, {-1}}};
  }
  const infer::ModelInfo& info() const override { return info_; }
  Result<std::vector<infer::Tensor>> run(std::span<const infer::Tensor> inputs, std::span<const std::size_t>,
                                         const infer::RunOptions&) const override {
    return std::vector<infer::Tensor>(inputs.begin(), inputs.end());
  }

 private:
  infer::ModelInfo info_;
};

class EchoRuntime : public infer::Runtime {
 public:
  Result<std::shared_ptr<const infer::Model>> load(const infer::ModelFile&, const infer::RuntimeOptions&) override {
    return std::make_shared<Echo>();
  }
};

infer::Request request(std::size_t rows) {
  infer::Request request{.model = "m"};
  infer::Tensor x{.name = "x",
                  .datatype = infer::Datatype::fp32,
                  .shape = {static_cast<std::int64_t>(rows)},
                  .bytes = infer::Buffer(rows * sizeof(float)),
                  .strings = {}};
  std::fill_n(x.values<float>().data(), rows, 1.0F);
  request.inputs.push_back(std::move(x));
  return request;
}

struct Served {
  std::string folder = (std::filesystem::temp_directory_path() / "penstock-metrics-XXXXXX").string();
  base::Registry registry;
  infer::Repository repository{registry};
  Served() {
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    std::ofstream(folder + "/model.echo") << "x";
    registry.add("echo", infer::RuntimeFactory{.file_name = "model.echo",
                                               .make = [] { return std::make_unique<EchoRuntime>(); },
                                               .describe = [] { return std::string(); }});
    infer::ModelConfig config;
    config.name = "m";
    config.path = folder;
    repository.apply({config});
    infer::Engine engine(repository, {});
    EXPECT_TRUE(engine.infer_here(request(3)));
    EXPECT_TRUE(engine.infer_here(request(1)));
    infer::Request wrong = request(1);
    wrong.inputs[0].name = "q";
    EXPECT_FALSE(engine.infer_here(std::move(wrong)));
  }
  ~Served() { std::filesystem::remove_all(folder); }
};

TEST(ModelMetrics, ShowsPhasesBatchesAndFailures) {
  Served served;
  ModelMetrics metrics(served.repository);
  obs::MetricWriter writer;
  metrics.collect(writer);
  const std::string& text = writer.text();
  EXPECT_THAT(text, HasSubstr("# TYPE penstock_inference_seconds histogram"));
  for (const char* phase : {"queue", "input", "compute", "output", "total"}) {
    EXPECT_THAT(
        text, HasSubstr(fmt::format(
                  "penstock_inference_seconds_bucket{{model=\"m\",version=\"1\",phase=\"{}\",le=\"+Inf\"}} 2", phase)));
    EXPECT_THAT(text, HasSubstr(fmt::format(
                          "penstock_inference_seconds_count{{model=\"m\",version=\"1\",phase=\"{}\"}} 2", phase)));
  }
  EXPECT_THAT(text, HasSubstr(R"(penstock_inference_seconds_bucket{model="m",version="1",phase="total",le="5"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(penstock_batch_size_bucket{model="m",version="1",le="1"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(penstock_batch_size_bucket{model="m",version="1",le="4"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(penstock_batch_size_sum{model="m",version="1"} 4)"));
  EXPECT_THAT(text, HasSubstr(R"(penstock_inference_failures_total{model="m",version="1",reason="invalid"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(penstock_inference_failures_total{model="m",version="1",reason="runtime"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(penstock_inference_pending{model="m",version="1"} 0)"));
  EXPECT_THAT(text, HasSubstr("penstock_model_memory_bytes{model=\"m\",version=\"1\"}"));
  EXPECT_THAT(text, Not(HasSubstr("nv_")));
}

TEST(ModelMetrics, ShowsTritonsNamesWhenAsked) {
  Served served;
  ModelMetrics metrics(served.repository);
  metrics.show_triton(true);
  obs::MetricWriter writer;
  metrics.collect(writer);
  const std::string& text = writer.text();
  EXPECT_THAT(text, HasSubstr(R"(nv_inference_request_success{model="m",version="1"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(nv_inference_request_failure{model="m",version="1",reason="OTHER"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(nv_inference_request_failure{model="m",version="1",reason="REJECTED"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(nv_inference_count{model="m",version="1"} 4)"));
  EXPECT_THAT(text, HasSubstr(R"(nv_inference_exec_count{model="m",version="1"} 2)"));
  for (const char* phase : {"request", "queue", "compute_input", "compute_infer", "compute_output"})
    EXPECT_THAT(text, HasSubstr(fmt::format("# TYPE nv_inference_{}_duration_us counter", phase)));
  EXPECT_THAT(text, HasSubstr(R"(nv_inference_pending_request_count{model="m",version="1"} 0)"));
}

}  // namespace
}  // namespace penstock::app
