#include "app/model_tune.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>

#include "config/document.h"

namespace penstock::app {
namespace {

using infer::RuntimeOptions;
using infer::Tensor;
using Optimize = RuntimeOptions::Optimize;

constexpr std::size_t kRowsMax = 64;
constexpr std::uint64_t kRunsLeast = 5;
// What a change must gain to be worth it: another level or accelerator, twice the threads, rows put together.
constexpr double kWorthwhile = 0.95;
constexpr double kWorthThreads = 0.7;
constexpr double kWorthBatch = 1.2;
// Of the most rows per second: fewer rows that reach this wait less.
constexpr double kNearlyBest = 0.9;

constexpr std::array<std::pair<Optimize, std::string_view>, 4> kLevels{
    {{Optimize::all, "all"}, {Optimize::extended, "extended"}, {Optimize::basic, "basic"}, {Optimize::none, "none"}}};

double seconds(base::Duration time) { return std::chrono::duration<double>(time).count(); }

void fill(Tensor& tensor, std::mt19937& random) {
  // Whole numbers are mostly places in a table: 0 and 1 are in every one.
  auto whole = [&]<class T>(T) {
    for (T& value : tensor.values<T>()) value = static_cast<T>(random() & 1U);
  };
  auto real = [&] { return std::uniform_real_distribution<float>(0, 1)(random); };
  switch (tensor.datatype) {
    case infer::Datatype::boolean:
    case infer::Datatype::uint8:
    case infer::Datatype::int8: whole(std::uint8_t{}); break;
    case infer::Datatype::uint16:
    case infer::Datatype::int16: whole(std::uint16_t{}); break;
    case infer::Datatype::uint32:
    case infer::Datatype::int32: whole(std::uint32_t{}); break;
    case infer::Datatype::uint64:
    case infer::Datatype::int64: whole(std::uint64_t{}); break;
    case infer::Datatype::fp16:
      for (auto& value : tensor.values<std::uint16_t>()) value = infer::to_half(real());
      break;
    case infer::Datatype::bf16:
      for (auto& value : tensor.values<std::uint16_t>()) value = infer::to_bfloat(real());
      break;
    case infer::Datatype::fp32:
      for (float& value : tensor.values<float>()) value = real();
      break;
    case infer::Datatype::fp64:
      for (double& value : tensor.values<double>()) value = static_cast<double>(real());
      break;
    case infer::Datatype::bytes:
      for (std::string& value : tensor.strings) value = "text";
      break;
  }
}

// Requests of a model can be put together: the first dimension of everything is open.
bool takes_rows(const infer::ModelInfo& info) {
  auto open = [](const infer::TensorSpec& spec) { return !spec.shape.empty() && spec.shape[0] < 0; };
  return std::all_of(info.inputs.begin(), info.inputs.end(), open) &&
         std::all_of(info.outputs.begin(), info.outputs.end(), open);
}

class Tuner {
 public:
  Tuner(const infer::RuntimeFactory& factory, const TuneOptions& options)
      : runtime_(factory.make()), factory_(factory), given_(options) {}

  Result<Tuning> tune() {
    Tuning tuning;
    auto first = load(tuning.best);
    if (!first) return std::unexpected(std::move(first.error()));
    if (auto fits = inputs_of((*first)->info(), 1); !fits) return std::unexpected(std::move(fits.error()));
    bool rows = takes_rows((*first)->info());
    first->reset();
    std::vector<RuntimeOptions> rest = others();
    std::size_t rows_trials = rows ? std::bit_width(kRowsMax) - 1U : 0U;
    share_ = given_.seconds / static_cast<double>(1 + rest.size() + rows_trials);
    Trial best = measure(tuning.best, 1);
    if (!best.problem.empty()) return fail(Errc::invalid_argument, fmt::format("{}; give --shape", best.problem));
    tuning.trials.push_back(best);
    for (RuntimeOptions& options : rest) {
      // What was found so far goes with each further change.
      if (options.threads == 1) options.threads = best.options.threads;
      if (options.accelerators.empty()) options.accelerators = best.options.accelerators;
      Trial trial = measure(options, 1);
      tuning.trials.push_back(trial);
      if (trial.problem.empty() && pays(best, trial)) best = trial;
    }
    tuning.best = best.options;
    if (rows) tune_rows(tuning, best);
    return tuning;
  }

 private:
  Result<std::shared_ptr<const infer::Model>> load(const RuntimeOptions& options) {
    return runtime_->load({.path = given_.file, .bytes = nullptr}, options);
  }

  // One thing changed at a time.
  std::vector<RuntimeOptions> others() const {
    std::vector<RuntimeOptions> result;
    for (const infer::Accelerator& accelerator : factory_.accelerators()) {
      if (accelerator.usable && accelerator.name != "cpu") result.emplace_back().accelerators = {accelerator.name};
    }
    std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    for (std::size_t threads = 2; threads < 2 * cores && cores > 1; threads *= 2)
      result.emplace_back().threads = std::min(threads, cores);
    for (const auto& [level, name] : kLevels) {
      if (level != Optimize::all) result.emplace_back().optimize = level;
    }
    return result;
  }

  static bool pays(const Trial& best, const Trial& trial) {
    double gain = seconds(trial.p50) / seconds(best.p50);
    double doublings =
        std::log2(static_cast<double>(trial.options.threads) / static_cast<double>(best.options.threads));
    return gain < (doublings > 0 ? std::pow(kWorthThreads, doublings) : kWorthwhile);
  }

  void tune_rows(Tuning& tuning, const Trial& alone) {
    std::vector<Trial> trials{alone};
    for (std::size_t rows = 2; rows <= kRowsMax; rows *= 2) {
      trials.push_back(measure(tuning.best, rows));
      tuning.trials.push_back(trials.back());
      if (!trials.back().problem.empty()) break;
    }
    double most = 0;
    for (const Trial& trial : trials) most = std::max(most, trial.rows_per_second);
    if (most < kWorthBatch * alone.rows_per_second) return;
    auto enough = [&](const Trial& trial) { return trial.rows_per_second >= kNearlyBest * most; };
    tuning.batch = std::find_if(trials.begin(), trials.end(), enough)->rows;
  }

  Result<std::vector<Tensor>> inputs_of(const infer::ModelInfo& info, std::size_t rows) {
    std::vector<Tensor> inputs;
    for (const infer::TensorSpec& spec : info.inputs) {
      Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape, .bytes = {}, .strings = {}};
      if (auto given = given_.shapes.find(spec.name); given != given_.shapes.end()) tensor.shape = given->second;
      if (tensor.shape.size() != spec.shape.size())
        return fail(Errc::invalid_argument,
                    fmt::format("--shape {}: the model declares {}", spec.name, infer::format_shape(spec.shape)));
      for (std::size_t i = 0; i < spec.shape.size(); ++i) {
        std::int64_t& extent = tensor.shape[i];
        if (extent < 0) extent = 1;
        if (i == 0 && spec.shape[0] < 0 && rows > 1) extent *= static_cast<std::int64_t>(rows);
      }
      auto count = infer::element_count(tensor.shape);
      if (!count || *count > (std::size_t{1} << 28))
        return fail(Errc::invalid_argument, fmt::format("input '{}' of shape {} is too large to measure with",
                                                        spec.name, infer::format_shape(tensor.shape)));
      if (tensor.datatype == infer::Datatype::bytes) tensor.strings.resize(*count);
      tensor.bytes = infer::Buffer(*count * infer::element_bytes(tensor.datatype));
      fill(tensor, random_);
      inputs.push_back(std::move(tensor));
    }
    return inputs;
  }

  Trial measure(const RuntimeOptions& options, std::size_t rows) {
    Trial trial{.options = options, .rows = rows, .problem = {}};
    auto model = load(options);
    if (!model) {
      trial.problem = model.error().detail;
      return trial;
    }
    auto inputs = inputs_of((*model)->info(), rows);
    if (!inputs) {
      trial.problem = inputs.error().detail;
      return trial;
    }
    std::vector<std::size_t> outputs((*model)->info().outputs.size());
    std::iota(outputs.begin(), outputs.end(), 0);
    std::vector<base::Duration> times;
    auto run = [&] {
      auto start = std::chrono::steady_clock::now();
      auto done = (*model)->run(*inputs, outputs, {});
      if (!done) trial.problem = done.error().detail;
      times.push_back(std::chrono::steady_clock::now() - start);
      return done.has_value();
    };
    // The first runs allocate.
    if (!run() || !run()) return trial;
    times.clear();
    auto begin = std::chrono::steady_clock::now();
    auto end = begin + std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(share_));
    while (times.size() < kRunsLeast || std::chrono::steady_clock::now() < end) {
      if (!run()) return trial;
    }
    double taken = seconds(std::chrono::steady_clock::now() - begin);
    trial.runs = times.size();
    trial.rows_per_second = static_cast<double>(times.size() * rows) / taken;
    std::sort(times.begin(), times.end());
    trial.p50 = times[times.size() / 2];
    trial.p99 = times[times.size() * 99 / 100];
    trial.memory = (*model)->memory_bytes();
    return trial;
  }

  std::unique_ptr<infer::Runtime> runtime_;
  const infer::RuntimeFactory& factory_;
  const TuneOptions& given_;
  std::mt19937 random_{7};  // the same inputs each time: trials are compared
  double share_ = 0;        // seconds of one trial
};

// ---- model.yaml

struct Key {
  std::string name, value;
};

std::vector<Key> keys_of(const Tuning& tuning) {
  std::string accelerators;
  for (const std::string& name : tuning.best.accelerators) accelerators += name + ", ";
  auto level =
      std::find_if(kLevels.begin(), kLevels.end(), [&](const auto& one) { return one.first == tuning.best.optimize; });
  return {{"accelerators", "[" + accelerators + "cpu]"},
          {"threads", std::to_string(tuning.best.threads)},
          {"optimize", std::string(level->second)}};
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

// The lines of a top-level key: itself and what is indented below, or a list that is not.
std::pair<std::size_t, std::size_t> find_key(const std::vector<std::string>& lines, const std::string& name) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with(name + ":")) continue;
    std::size_t end = i + 1;
    while (end < lines.size() && (lines[end].starts_with(' ') || lines[end].starts_with('-'))) ++end;
    return {i, end};
  }
  return {lines.size(), lines.size()};
}

// A comment behind the value, with the space before it.
std::string comment_of(const std::string& line) {
  std::size_t hash = line.find(" #");
  if (hash == std::string::npos) return {};
  std::size_t start = line.find_last_not_of(' ', hash);
  return line.substr(start == std::string::npos ? hash : start + 1);
}

// Sets `max` within the lines of `batch`; false when it is written in a way this does not know.
bool set_batch(std::vector<std::string>& lines, std::size_t begin, std::size_t end, std::size_t rows) {
  for (std::size_t i = begin; i < end; ++i) {
    std::size_t comment = lines[i].find(" #");
    std::size_t at = 0;
    while ((at = lines[i].find("max:", at)) < comment) {
      bool own_word = at > 0 && (lines[i][at - 1] == ' ' || lines[i][at - 1] == '{' || lines[i][at - 1] == ',');
      std::size_t digits = lines[i].find_first_not_of(' ', at + 4);
      if (own_word && digits < lines[i].size() && std::isdigit(static_cast<unsigned char>(lines[i][digits])) != 0) {
        std::size_t after = lines[i].find_first_not_of("0123456789", digits);
        if (after == std::string::npos) after = lines[i].size();
        lines[i].replace(digits, after - digits, std::to_string(rows));
        return true;
      }
      at += 4;
    }
  }
  return false;
}

}  // namespace

Result<Tuning> tune(const infer::RuntimeFactory& factory, const TuneOptions& options) {
  return Tuner(factory, options).tune();
}

std::string to_yaml(const Tuning& tuning) {
  std::string text;
  for (const Key& key : keys_of(tuning)) text += fmt::format("{}: {}\n", key.name, key.value);
  if (tuning.batch > 1) text += fmt::format("batch: {{ max: {}, wait: 1ms }}\n", tuning.batch);
  return text;
}

Result<std::string> merge_yaml(std::string_view existing, const Tuning& tuning) {
  std::vector<std::string> lines = lines_of(existing);
  for (const Key& key : keys_of(tuning)) {
    auto [begin, end] = find_key(lines, key.name);
    std::string line = fmt::format("{}: {}", key.name, key.value);
    if (begin == lines.size()) {
      lines.push_back(line);
      continue;
    }
    lines[begin] = line + comment_of(lines[begin]);
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(begin) + 1,
                lines.begin() + static_cast<std::ptrdiff_t>(end));
  }
  auto [begin, end] = find_key(lines, "batch");
  if (begin != lines.size()) {
    if (!set_batch(lines, begin, end, tuning.batch))
      return fail(Errc::invalid_argument, "`batch` has no `max` that can be set; write one");
  } else if (tuning.batch > 1) {
    lines.push_back(fmt::format("batch: {{ max: {}, wait: 1ms }}", tuning.batch));
  }
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  auto document = config::Document::parse(text, "model.yaml");
  if (!document) return std::unexpected(std::move(document.error()));
  return text;
}

}  // namespace penstock::app
