#include "ext/steps/outlier/outlier.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "ingest/device_table.h"
#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::Sample;

enum class Method { hampel, zscore, iqr };
enum class Then { drop, mark, replace };

struct Settings {
  std::string field;
  Method method = Method::hampel;
  Then then = Then::drop;
  std::size_t window = 51;
  double threshold = 3;
};

// What the newest value is compared with: the values before it, in the order they came.
using History = std::deque<double>;

double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - static_cast<double>(low));
}

struct Verdict {
  bool outlier = false;
  double instead = 0;  // the value one would expect
};

// Hampel's identifier: further from the median than `threshold` scaled median absolute deviations (1.4826 makes the
// deviation of a normal distribution of it). More than half of the history being equal leaves no deviation, and nothing
// is an outlier.
Verdict hampel(std::vector<double> values, double value, double threshold) {
  std::sort(values.begin(), values.end());
  const double median = quantile(values, 0.5);
  for (double& one : values) one = std::abs(one - median);
  std::sort(values.begin(), values.end());
  const double spread = 1.4826 * quantile(values, 0.5);
  return {.outlier = spread > 0 && std::abs(value - median) > threshold * spread, .instead = median};
}

Verdict zscore(const std::vector<double>& values, double value, double threshold) {
  double mean = 0;
  for (double one : values) mean += one;
  mean /= static_cast<double>(values.size());
  double squares = 0;
  for (double one : values) squares += (one - mean) * (one - mean);
  const double spread = std::sqrt(squares / static_cast<double>(values.size()));
  return {.outlier = spread > 0 && std::abs(value - mean) > threshold * spread, .instead = mean};
}

// Tukey's fences.
Verdict iqr(std::vector<double> values, double value, double threshold) {
  std::sort(values.begin(), values.end());
  const double low = quantile(values, 0.25);
  const double high = quantile(values, 0.75);
  const double reach = threshold * (high - low);
  return {.outlier = reach > 0 && (value < low - reach || value > high + reach), .instead = quantile(values, 0.5)};
}

class Outlier : public ingest::Step {
 public:
  // Fewer values than this say nothing about the next.
  static constexpr std::size_t kLearned = 8;

  Outlier(Settings settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override {
    const double value = ingest::number_of(sample, settings_.field);
    if (std::isnan(value)) return out.emit(std::move(sample));
    History& history = devices_.at(sample.device);
    const Verdict verdict = judge(history, value);
    // Outliers are remembered too: what stays there becomes the new normal within half a window. Infinity never does.
    if (std::isfinite(value)) history.push_back(value);
    if (history.size() > settings_.window) history.pop_front();
    if (!verdict.outlier) return out.emit(std::move(sample));
    if (settings_.then == Then::drop) return context_.drop();
    if (settings_.then == Then::replace) {
      const std::string unit = sample.find(settings_.field)->unit;
      sample.set(settings_.field, verdict.instead, unit);
    }
    if (sample.quality == ingest::Quality::good) sample.quality = ingest::Quality::uncertain;
    out.emit(std::move(sample));
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Outlier*>(&before);
    if (other == nullptr || other->settings_.field != settings_.field) return;
    devices_ = std::move(other->devices_);
    for (auto& entry : devices_.entries()) {
      while (entry.state.size() > settings_.window) entry.state.pop_front();
    }
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in,
                          .memory_bytes_max = ingest::kDevicesPerStepMax * (settings_.window + 64) * sizeof(double),
                          .problems = {}};
    if (auto problem = missing_field(in, settings_.field); !problem.empty())
      plan.problems.push_back(std::move(problem));
    return plan;
  }

 private:
  Verdict judge(const History& history, double value) const {
    if (history.size() < kLearned) return {};
    std::vector<double> values(history.begin(), history.end());
    switch (settings_.method) {
      case Method::hampel: return hampel(std::move(values), value, settings_.threshold);
      case Method::zscore: return zscore(values, value, settings_.threshold);
      case Method::iqr: return iqr(std::move(values), value, settings_.threshold);
    }
    return {};
  }

  Settings settings_;
  ingest::StepContext context_;
  ingest::DeviceTable<History> devices_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_outlier(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  settings.field = map.required_text("field");
  const std::string method = map.choice("method", {"hampel", "zscore", "iqr"}, "hampel");
  settings.method = method == "iqr" ? Method::iqr : method == "zscore" ? Method::zscore : Method::hampel;
  const std::string then = map.choice("then", {"drop", "mark", "replace"}, "drop");
  settings.then = then == "mark" ? Then::mark : then == "replace" ? Then::replace : Then::drop;
  settings.window = static_cast<std::size_t>(map.integer("window", 51, Outlier::kLearned, 1001));
  settings.threshold = map.number("threshold", settings.method == Method::iqr ? 1.5 : 3);
  if (!(settings.threshold > 0)) map.get("threshold").problem("must be more than 0");
  map.done();
  if (settings.field.empty()) return nullptr;
  return std::make_unique<Outlier>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
