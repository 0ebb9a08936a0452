#include "ext/steps/convert/convert.h"

#include "ingest/field_access.h"
#include "ingest/unit.h"

namespace penstock::ext::steps {
namespace {

using ingest::Field;
using ingest::NamePattern;
using ingest::Unit;

struct Conversion {
  NamePattern field;
  const Unit* to;
};

// Null when it worked, else why not.
const char* convert_field(Field& field, const Unit& to) {
  const Unit* from = field.unit.empty() ? &to : ingest::find_unit(field.unit);
  if (from == nullptr) return "its unit is not in the table";
  if (from->dimension != to.dimension) return "its unit is of another kind";
  if (auto* array = std::get_if<std::vector<double>>(&field.value)) {
    for (double& value : *array) value = ingest::convert(value, *from, to);
  } else if (std::holds_alternative<std::string>(field.value)) {
    return "it is a text";
  } else if (from != &to) {
    field.value = ingest::convert(ingest::number_of(field.value), *from, to);
  }
  field.unit = to.name;
  return nullptr;
}

class Convert : public ingest::Step {
 public:
  Convert(std::vector<Conversion> conversions, ingest::StepContext context)
      : conversions_(std::move(conversions)), context_(std::move(context)) {}

  void push(ingest::Sample sample, ingest::Output& out) override {
    for (Field& field : sample.fields) {
      const Conversion* conversion = conversion_of(field.name);
      if (conversion == nullptr) continue;
      if (const char* why = convert_field(field, *conversion->to)) {
        return context_.error(
            fmt::format("convert: '{}'{} cannot be given in {}: {}", field.name,
                        field.unit.empty() ? "" : fmt::format(" in {}", field.unit), conversion->to->name, why),
            std::move(sample));
      }
    }
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    for (const Conversion& conversion : conversions_) {
      if (auto problem = missing_field(in, conversion.field); !problem.empty()) {
        plan.problems.push_back(std::move(problem));
      }
    }
    for (auto& [name, type] : plan.out.fields) {
      const Conversion* conversion = conversion_of(name);
      if (conversion == nullptr) continue;
      const Unit* from = ingest::find_unit(type.unit);
      if (from != nullptr && from->dimension != conversion->to->dimension) {
        plan.problems.push_back(fmt::format("'{}' is in {} ({}), which cannot be given in {} ({})", name, type.unit,
                                            ingest::to_string(from->dimension), conversion->to->name,
                                            ingest::to_string(conversion->to->dimension)));
      }
      type.unit = conversion->to->name;
    }
    return plan;
  }

 private:
  const Conversion* conversion_of(std::string_view name) const {
    for (const Conversion& conversion : conversions_) {
      if (conversion.field.match(name)) return &conversion;
    }
    return nullptr;
  }

  std::vector<Conversion> conversions_;
  ingest::StepContext context_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_convert(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  std::vector<Conversion> conversions;
  for (const auto& [name, entry] : map.entries()) {
    auto field = NamePattern::read(name, entry);
    const std::string text = entry.text();
    const Unit* unit = ingest::find_unit(text);
    if (unit == nullptr) {
      const auto hint = base::closest(text, ingest::unit_names());
      entry.problem(fmt::format("there is no unit '{}'{}; see docs/expressions.md for the table", text,
                                hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
    }
    if (field && unit != nullptr) conversions.push_back({std::move(*field), unit});
  }
  if (map.keys().empty()) node.problem("converts nothing; write { temp: degC, \"*.speed\": mm/s }");
  if (conversions.empty()) return nullptr;
  return std::make_unique<Convert>(std::move(conversions), context);
}

}  // namespace penstock::ext::steps
