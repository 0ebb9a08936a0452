#include "ext/steps/clamp/clamp.h"

#include <cmath>
#include <limits>

#include "ingest/field_access.h"
#include "ingest/unit.h"

namespace penstock::ext::steps {
namespace {

using ingest::Field;
using ingest::NamePattern;
using ingest::Unit;

// A bound as written: a number, with or without a unit.
struct Bound {
  double value = 0;
  const Unit* unit = nullptr;
};

struct Range {
  NamePattern field;
  std::optional<Bound> least;
  std::optional<Bound> most;
};

std::optional<Bound> read_bound(const config::Node& node) {
  const std::string text = node.text();
  char* end = nullptr;
  Bound bound;
  bound.value = std::strtod(text.c_str(), &end);
  const std::string_view unit(end);
  if (end == text.c_str() || !std::isfinite(bound.value)) {
    node.problem(fmt::format("'{}' is no number; write 100 or 100degC", text));
    return std::nullopt;
  }
  if (unit.empty()) return bound;
  bound.unit = ingest::find_unit(unit);
  if (bound.unit != nullptr) return bound;
  const auto hint = base::closest(unit, ingest::unit_names());
  node.problem(fmt::format("there is no unit '{}'{}", unit, hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
  return std::nullopt;
}

// The bound in the field's own unit; NaN when the two do not fit.
double in_unit(const Bound& bound, const std::string& unit) {
  if (bound.unit == nullptr || unit.empty() || unit == bound.unit->name) return bound.value;
  const Unit* own = ingest::find_unit(unit);
  if (own == nullptr || own->dimension != bound.unit->dimension) return std::nan("");
  return ingest::convert(bound.value, *bound.unit, *own);
}

class Clamp : public ingest::Step {
 public:
  Clamp(std::vector<Range> ranges, bool mark, ingest::StepContext context)
      : ranges_(std::move(ranges)), mark_(mark), context_(std::move(context)) {}

  void push(ingest::Sample sample, ingest::Output& out) override {
    bool cut = false;
    for (Field& field : sample.fields) {
      const Range* range = range_of(field.name);
      if (range == nullptr) continue;
      const double least = range->least ? in_unit(*range->least, field.unit) : -std::numeric_limits<double>::infinity();
      const double most = range->most ? in_unit(*range->most, field.unit) : std::numeric_limits<double>::infinity();
      if (std::isnan(least) || std::isnan(most)) {
        return context_.error(
            fmt::format("clamp: '{}' is in {}, which the range's unit does not fit", field.name, field.unit),
            std::move(sample));
      }
      cut = clamp(field.value, least, most) || cut;
    }
    if (cut && mark_ && sample.quality == ingest::Quality::good) sample.quality = ingest::Quality::uncertain;
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    for (const Range& range : ranges_) {
      if (auto problem = missing_field(in, range.field); !problem.empty()) plan.problems.push_back(std::move(problem));
    }
    for (const auto& [name, type] : in.fields) {
      const Range* range = range_of(name);
      if (range == nullptr || type.unit.empty()) continue;
      for (const auto& bound : {range->least, range->most}) {
        if (!bound || !std::isnan(in_unit(*bound, type.unit))) continue;
        plan.problems.push_back(
            fmt::format("'{}' is in {}, which does not fit {}", name, type.unit, bound->unit->name));
        break;
      }
    }
    return plan;
  }

 private:
  const Range* range_of(std::string_view name) const {
    for (const Range& range : ranges_) {
      if (range.field.match(name)) return &range;
    }
    return nullptr;
  }

  // True when something was cut.
  static bool clamp(ingest::Value& value, double least, double most) {
    if (auto* array = std::get_if<std::vector<double>>(&value)) {
      bool cut = false;
      for (double& one : *array) {
        const double inside = std::clamp(one, least, most);
        cut = cut || inside != one;
        if (!std::isnan(one)) one = inside;
      }
      return cut;
    }
    if (std::holds_alternative<std::string>(value) || std::holds_alternative<bool>(value)) return false;
    const double one = ingest::number_of(value);
    if (std::isnan(one) || (one >= least && one <= most)) return false;
    value = std::clamp(one, least, most);
    return true;
  }

  std::vector<Range> ranges_;
  bool mark_;
  ingest::StepContext context_;
};

std::optional<Range> read_range(const std::string& name, const config::Node& node) {
  auto field = NamePattern::read(name, node);
  if (!field) return std::nullopt;
  Range range{std::move(*field), {}, {}};
  if (node.kind() == config::Node::Kind::list) {
    const auto bounds = node.items();
    if (bounds.size() != 2) {
      node.problem("a range has two ends; write [0, 100], or { min: 0 } for one");
      return std::nullopt;
    }
    range.least = read_bound(bounds[0]);
    range.most = read_bound(bounds[1]);
    if (!range.least || !range.most) return std::nullopt;
  } else {
    config::Map map = node.map();
    if (map.has("min")) range.least = read_bound(map.get("min"));
    if (map.has("max")) range.most = read_bound(map.get("max"));
    if (!map.has("min") && !map.has("max")) node.problem("has no end; write [0, 100], { min: 0 } or { max: 100 }");
    map.done();
    if (!range.least && !range.most) return std::nullopt;
  }
  if (range.least && range.most) {
    const std::string unit(range.least->unit == nullptr ? "" : range.least->unit->name);
    const double most = in_unit(*range.most, unit);
    if (std::isnan(most)) node.problem("the two ends are in units of different kinds");
    if (most < range.least->value) node.problem("the upper end is below the lower one");
  }
  return range;
}

}  // namespace

std::unique_ptr<ingest::Step> make_clamp(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  const bool mark = map.boolean("mark", true);
  std::vector<Range> ranges;
  for (const auto& [name, entry] : map.entries()) {
    if (name == "mark") continue;
    if (auto range = read_range(name, entry)) ranges.push_back(std::move(*range));
  }
  if (map.keys().size() == (map.has("mark") ? 1U : 0U)) node.problem("clamps nothing; write { temp: [0, 100] }");
  if (ranges.empty()) return nullptr;
  return std::make_unique<Clamp>(std::move(ranges), mark, context);
}

}  // namespace penstock::ext::steps
