#include "ext/steps/normalise/normalise.h"

#include <cmath>
#include <limits>

#include "ingest/device_table.h"
#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::Field;
using ingest::Sample;

constexpr std::size_t kFieldsMax = 64;

// How one field becomes a number without a unit.
struct Scale {
  std::string field;
  bool ranged = false;   // by minimum and maximum, else by mean and standard deviation
  bool running = false;  // the two are learned from what comes
  double a = 0;          // minimum or mean
  double b = 1;          // maximum or standard deviation
};

// What was seen of one field of one device. Welford's algorithm, forgetting with a time constant of `memory` samples.
struct Learned {
  double count = 0;
  double mean = 0;
  double squares = 0;
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();

  // Only numbers: one infinity would be the mean for ever.
  void add(double value, double memory) {
    if (!std::isfinite(value)) return;
    count += 1;
    const double weight = 1 / std::min(count, memory);
    const double step = value - mean;
    mean += weight * step;
    squares = (1 - weight) * (squares + weight * step * step);
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

class Normalise : public ingest::Step {
 public:
  Normalise(std::vector<Scale> scales, double memory) : scales_(std::move(scales)), memory_(memory) {}

  void push(Sample sample, ingest::Output& out) override {
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      for (Field& field : sample.fields) {
        if (field.name == scales_[i].field) apply(i, sample.device, sample.quality, field);
      }
    }
    out.emit(std::move(sample));
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Normalise*>(&before);
    if (other == nullptr || other->scales_.size() != scales_.size()) return;
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      if (scales_[i].field != other->scales_[i].field) return;
    }
    devices_ = std::move(other->devices_);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    bool running = false;
    for (const Scale& scale : scales_) {
      running = running || scale.running;
      if (auto problem = missing_field(in, scale.field); !problem.empty()) plan.problems.push_back(std::move(problem));
      const auto known = in.fields.find(scale.field);
      if (known == in.fields.end()) continue;
      if (known->second.kind == ingest::FieldType::Kind::text) {
        plan.problems.push_back(fmt::format("'{}' is a text, which cannot be scaled", scale.field));
      }
      plan.out.fields[scale.field].unit.clear();
    }
    if (running) plan.memory_bytes_max = ingest::kDevicesPerStepMax * (scales_.size() * sizeof(Learned) + 128);
    return plan;
  }

 private:
  void apply(std::size_t index, const std::string& device, ingest::Quality quality, Field& field) {
    const Scale& scale = scales_[index];
    double a = scale.a;
    double b = scale.b;
    auto* array = std::get_if<std::vector<double>>(&field.value);
    const double value = ingest::number_of(field.value);
    if (array == nullptr && std::isnan(value)) return;
    if (scale.running) {
      std::vector<Learned>& all = devices_.at(device);
      if (all.empty()) all.resize(scales_.size());
      Learned& learned = all[index];
      // What a broken sensor says is scaled like the rest, and not learned.
      if (quality != ingest::Quality::bad) {
        if (array == nullptr) learned.add(value, memory_);
        if (array != nullptr)
          std::for_each(array->begin(), array->end(), [&](double one) { learned.add(one, memory_); });
      }
      a = scale.ranged ? learned.least : learned.mean;
      b = scale.ranged ? learned.most : std::sqrt(learned.squares);
    }
    // Without any spread yet a value is in the middle of its range.
    const double width = scale.ranged ? b - a : b;
    const double flat = scale.ranged ? 0.5 : 0;
    const auto scaled = [&](double one) { return width > 0 && std::isfinite(width) ? (one - a) / width : flat; };
    if (array != nullptr) {
      for (double& one : *array) one = scaled(one);
    } else {
      field.value = scaled(value);
    }
    field.unit.clear();
  }

  std::vector<Scale> scales_;
  double memory_;
  ingest::DeviceTable<std::vector<Learned>> devices_;
};

std::optional<Scale> read_scale(const std::string& name, const config::Node& node) {
  Scale scale{.field = name};
  if (node.kind() != config::Node::Kind::map) {
    scale.running = true;
    scale.ranged = node.choice({"zscore", "minmax"}, "zscore") == "minmax";
    return scale;
  }
  config::Map map = node.map();
  const bool ranged = map.has("min") && map.has("max");
  const bool spread = map.has("mean") && map.has("stddev");
  scale.ranged = ranged;
  scale.a = ranged ? map.number("min", 0) : map.number("mean", 0);
  scale.b = ranged ? map.number("max", 1) : map.number("stddev", 1);
  map.done();
  if (ranged == spread) {
    node.problem("write { min: 0, max: 100 }, { mean: 50, stddev: 10 }, zscore or minmax");
    return std::nullopt;
  }
  if (ranged ? scale.b > scale.a : scale.b > 0) return scale;
  node.problem(ranged ? "max must be above min" : "stddev must be more than 0");
  return std::nullopt;
}

}  // namespace

std::unique_ptr<ingest::Step> make_normalise(const config::Node& node, const ingest::StepContext&) {
  config::Map map = node.map();
  const auto memory = static_cast<double>(map.integer("memory", 10'000, 2, 1'000'000'000));
  std::vector<Scale> scales;
  bool good = true;
  for (const auto& [name, entry] : map.entries()) {
    if (name == "memory") continue;
    auto scale = read_scale(name, entry);
    good = good && scale.has_value();
    if (scale) scales.push_back(std::move(*scale));
  }
  if (good && scales.empty()) node.problem("names no field; write { vib: zscore, temp: { min: 0, max: 100 } }");
  if (scales.size() > kFieldsMax) node.problem(fmt::format("names more than {} fields", kFieldsMax));
  if (!good || scales.empty() || scales.size() > kFieldsMax) return nullptr;
  return std::make_unique<Normalise>(std::move(scales), memory);
}

}  // namespace penstock::ext::steps
