#include "ingest/shape_lookup.h"

#include "base/quantity.h"

namespace penstock::ingest {

std::uint64_t held_bytes(const Shape& shape) {
  constexpr std::uint64_t kNamesAndTags = 256;
  constexpr std::uint64_t kUnknownFields = 16;
  std::uint64_t fields = shape.fields.size();
  if (shape.open) fields = std::max(fields, kUnknownFields);
  std::uint64_t values = 0;
  for (const auto& [name, type] : shape.fields) values += array_values(type);
  return sizeof(Sample) + kNamesAndTags + fields * sizeof(Field) + values * sizeof(double);
}

std::uint64_t array_values(const FieldType& type) {
  if (type.kind != FieldType::Kind::array) return 0;
  return type.longest > 0 ? type.longest : kArrayAssumed;
}

FieldType type_of(const Shape& shape, std::string_view name, std::vector<std::string>& problems) {
  auto found = shape.fields.find(name);
  if (found != shape.fields.end()) return found->second;
  if (shape.open) return {};
  std::vector<std::string> names;
  for (const auto& [field, type] : shape.fields) names.push_back(field);
  auto hint = base::closest(name, names);
  problems.push_back(fmt::format(
      "there is no field '{}' here; {}", name,
      hint ? fmt::format("did you mean '{}'?", *hint) : fmt::format("there are {}", fmt::join(names, ", "))));
  return {};
}

FieldType numeric_type_of(const Shape& shape, std::string_view name, std::vector<std::string>& problems) {
  FieldType type = type_of(shape, name, problems);
  if (type.kind == FieldType::Kind::text) problems.push_back(fmt::format("the field '{}' is text, not a number", name));
  return type;
}

void check_names(const Shape& shape, const Expression& expression, std::vector<std::string>& problems) {
  StepPlan plan;
  expression.gives(shape, plan);
  std::move(plan.problems.begin(), plan.problems.end(), std::back_inserter(problems));
}

}  // namespace penstock::ingest
