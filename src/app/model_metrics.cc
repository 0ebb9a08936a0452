#include "app/model_metrics.h"

namespace penstock::app {
namespace {

using infer::StatsView;
using infer::Tally;

// One version that is in memory.
struct Line {
  std::string_view model;
  std::string_view version;
  const StatsView* stats;
  std::uint64_t memory_bytes;

  obs::Labels labels(obs::Labels more = {}) const {
    more.insert(more.begin(), {{"model", model}, {"version", version}});
    return more;
  }
};

std::vector<Line> lines_of(const std::vector<infer::ModelStatus>& models) {
  std::vector<Line> lines;
  for (const infer::ModelStatus& model : models) {
    for (const infer::VersionStatus& version : model.versions) {
      if (version.stats) lines.push_back({model.name, version.version, &*version.stats, version.memory_bytes});
    }
  }
  return lines;
}

// A phase without counts by bound has the one of +Inf.
struct Phase {
  const char* name;
  Tally StatsView::* tally;
  infer::PhaseCounts StatsView::* within;
};
constexpr Phase kPhases[] = {{"queue", &StatsView::queue, &StatsView::queue_within},
                             {"input", &StatsView::input, nullptr},
                             {"compute", &StatsView::compute, &StatsView::compute_within},
                             {"output", &StatsView::output, nullptr},
                             {"total", &StatsView::success, &StatsView::total_within}};

void write_buckets(const Line& line, const Phase& phase, obs::MetricWriter& writer) {
  constexpr std::string_view name = "penstock_inference_seconds_bucket";
  std::uint64_t below = 0;
  for (std::size_t i = 0; phase.within != nullptr && i < infer::kPhaseBounds.size(); ++i) {
    below += (line.stats->*phase.within)[i];
    std::string bound = fmt::format("{}", infer::kPhaseBounds[i]);
    writer.sample(name, line.labels({{"phase", phase.name}, {"le", bound}}), static_cast<double>(below));
  }
  double all = static_cast<double>((line.stats->*phase.tally).count);
  writer.sample(name, line.labels({{"phase", phase.name}, {"le", "+Inf"}}), all);
}

void write_phases(const std::vector<Line>& lines, obs::MetricWriter& writer) {
  writer.family(
      "penstock_inference_seconds", "histogram",
      "Inferences by phase: waiting, putting requests together, inside the runtime, taking results apart, all.");
  for (const Line& line : lines) {
    for (const Phase& phase : kPhases) {
      Tally tally = line.stats->*phase.tally;
      write_buckets(line, phase, writer);
      writer.sample("penstock_inference_seconds_sum", line.labels({{"phase", phase.name}}),
                    static_cast<double>(tally.nanoseconds) / 1e9);
      writer.sample("penstock_inference_seconds_count", line.labels({{"phase", phase.name}}),
                    static_cast<double>(tally.count));
    }
  }
}

void write_batches(const std::vector<Line>& lines, obs::MetricWriter& writer) {
  writer.family("penstock_batch_size", "histogram", "Rows of one run.");
  for (const Line& line : lines) {
    std::uint64_t below = 0;
    std::uint64_t rows = 0;
    auto batch = line.stats->batches.begin();
    auto add_until = [&](std::size_t most) {
      for (; batch != line.stats->batches.end() && batch->rows <= most; ++batch) {
        below += batch->compute.count;
        rows += batch->compute.count * batch->rows;
      }
      return static_cast<double>(below);
    };
    for (std::size_t bound = 1; bound <= 1024; bound *= 2) {
      std::string text = std::to_string(bound);
      double runs = add_until(bound);
      writer.sample("penstock_batch_size_bucket", line.labels({{"le", text}}), runs);
    }
    double runs = add_until(SIZE_MAX);
    writer.sample("penstock_batch_size_bucket", line.labels({{"le", "+Inf"}}), runs);
    writer.sample("penstock_batch_size_sum", line.labels(), static_cast<double>(rows));
    writer.sample("penstock_batch_size_count", line.labels(), runs);
  }
}

std::uint64_t failed_in_runtime(const StatsView& stats) {
  std::uint64_t others = stats.rejected + stats.cancelled + stats.invalid;
  return stats.failure.count - std::min(others, stats.failure.count);
}

// The reason of a failure, as we and as Triton call it.
struct Reason {
  const char* ours;
  const char* triton;
  std::uint64_t (*count)(const StatsView&);
};
constexpr Reason kReasons[] = {{"rejected", "REJECTED", [](const StatsView& stats) { return stats.rejected; }},
                               {"cancelled", "CANCELED", [](const StatsView& stats) { return stats.cancelled; }},
                               {"runtime", "BACKEND", failed_in_runtime},
                               {"invalid", "OTHER", [](const StatsView& stats) { return stats.invalid; }}};

struct Family {
  const char* name;
  const char* type;
  const char* help;
  double (*value)(const Line&);
};

void write(std::span<const Family> families, const std::vector<Line>& lines, obs::MetricWriter& writer) {
  for (const Family& family : families) {
    writer.family(family.name, family.type, family.help);
    for (const Line& line : lines) writer.sample(family.name, line.labels(), family.value(line));
  }
}

double micros(const Tally& tally) { return static_cast<double>(tally.nanoseconds / 1000); }
double number(std::uint64_t count) { return static_cast<double>(count); }

constexpr Family kOurs[] = {
    {"penstock_inference_pending", "gauge", "Requests that wait for a version.",
     [](const Line& line) { return number(line.stats->pending); }},
    {"penstock_inference_instances", "gauge", "Runs of a version under way on the inference threads.",
     [](const Line& line) { return number(line.stats->running); }},
    {"penstock_model_memory_bytes", "gauge", "Memory a version takes, as measured while it was loaded.",
     [](const Line& line) { return number(line.memory_bytes); }},
};

constexpr Family kTriton[] = {
    {"nv_inference_request_success", "counter", "Requests that were answered.",
     [](const Line& line) { return number(line.stats->success.count); }},
    {"nv_inference_count", "counter", "Inferences: rows of all requests that were answered.",
     [](const Line& line) { return number(line.stats->inferences); }},
    {"nv_inference_exec_count", "counter", "Runs of the model.",
     [](const Line& line) { return number(line.stats->executions); }},
    {"nv_inference_pending_request_count", "gauge", "Requests that wait.",
     [](const Line& line) { return number(line.stats->pending); }},
    {"nv_inference_request_duration_us", "counter", "Time of answered requests, microseconds.",
     [](const Line& line) { return micros(line.stats->success); }},
    {"nv_inference_queue_duration_us", "counter", "Time they waited, microseconds.",
     [](const Line& line) { return micros(line.stats->queue); }},
    {"nv_inference_compute_input_duration_us", "counter", "Time for putting inputs together, microseconds.",
     [](const Line& line) { return micros(line.stats->input); }},
    {"nv_inference_compute_infer_duration_us", "counter", "Time inside the runtime, microseconds.",
     [](const Line& line) { return micros(line.stats->compute); }},
    {"nv_inference_compute_output_duration_us", "counter", "Time for taking outputs apart, microseconds.",
     [](const Line& line) { return micros(line.stats->output); }},
};

void write_failures(std::string_view name, const char* Reason::* word, const std::vector<Line>& lines,
                    obs::MetricWriter& writer) {
  writer.family(name, "counter", "Requests that failed, by reason.");
  for (const Line& line : lines) {
    for (const Reason& reason : kReasons)
      writer.sample(name, line.labels({{"reason", reason.*word}}), number(reason.count(*line.stats)));
  }
}

}  // namespace

void ModelMetrics::collect(obs::MetricWriter& writer) const {
  std::vector<infer::ModelStatus> models = repository_.status();
  std::vector<Line> lines = lines_of(models);
  write_phases(lines, writer);
  write_batches(lines, writer);
  write(kOurs, lines, writer);
  write_failures("penstock_inference_failures_total", &Reason::ours, lines, writer);
  if (!triton_.load()) return;
  write(kTriton, lines, writer);
  write_failures("nv_inference_request_failure", &Reason::triton, lines, writer);
}

}  // namespace penstock::app
